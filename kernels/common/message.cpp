#include "check.h"

extern "C" const char* codi_kernels_message(void) { return codi::message; }
