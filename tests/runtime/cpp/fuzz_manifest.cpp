// Any bytes are a manifest, or are refused with a Failure.
#include "bundle.h"
#include "failure.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace codi::detail;
    try {
        const Manifest manifest = parse_manifest({reinterpret_cast<const char*>(data), size}, "codi.json");
        for (const FileEntry& entry : manifest.files) inside("bundle", entry.path);
        for (const Graph& graph : manifest.graphs) require_callable(graph);
        require_callable(select(manifest, "", 0));
    } catch (const Failure&) {
    }
    return 0;
}
