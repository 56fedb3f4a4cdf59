#include "emulator.h"

extern "C" __attribute__((visibility("default"))) void codi_emulator_seed(unsigned seed) { emulator::order.seed(seed); }
