#include "emulator.h"
extern "C" void codi_emulator_seed(unsigned seed) { emulator::order.seed(seed); }
