// What a caller can act on; codi.cpp turns it into a status and a text.
#pragma once
#include <string>

#include "codi.h"

namespace codi::detail {

struct Failure {
    codi_status code;
    std::string text;
};

[[noreturn]] inline void fail(codi_status code, const std::string &message, const std::string &hint = "") {
    throw Failure{code, hint.empty() ? message : message + "; " + hint};
}

}  // namespace codi::detail
