// codi.hpp: codi.h for C++17. A Session frees itself, and what fails throws codi::Error. codi.h is the manual.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>

#include "codi.h"

namespace codi {

struct Error : std::runtime_error {
    codi_status status;
    explicit Error(codi_status failed) : std::runtime_error(codi_last_error()), status(failed) {}
};

inline void check(codi_status status) {
    if (status != CODI_OK) throw Error(status);
}

struct Options : codi_options {
    Options() { codi_options_init(this, sizeof(codi_options)); }
};

struct RunOptions : codi_run_options {
    RunOptions() { codi_run_options_init(this, sizeof(codi_run_options)); }
};

class Session {
  public:
    explicit Session(const std::string& bundle, const Options& options = {}) {
        codi_session* session = nullptr;
        check(codi_load(bundle.c_str(), &options, &session));
        session_.reset(session);
    }
    void run(const codi_image& input, const codi_image& output, const RunOptions& options = {}) {
        check(codi_run(session_.get(), &input, &output, &options));
    }
    void run_tensors(const codi_tensor* tensors, size_t count, int32_t memory = CODI_HOST) {
        check(codi_run_tensors(session_.get(), tensors, count, memory));
    }
    codi_info info() const {
        codi_info info;
        codi_info_init(&info, sizeof info);
        check(codi_get_info(session_.get(), &info));
        return info;
    }
    std::string inspect() const { return codi_inspect(session_.get()); }
    void cancel() { codi_cancel(session_.get()); }
    codi_session* get() const { return session_.get(); }

  private:
    struct Free {
        void operator()(codi_session* session) const { codi_free(session); }
    };
    std::unique_ptr<codi_session, Free> session_;
};

}  // namespace codi
