#include <codi.h>

int main(void) { return codi_abi_version() != CODI_ABI_VERSION; }
