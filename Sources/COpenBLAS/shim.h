// OpenBLAS: the yardstick of `ingot bench` and an independent oracle in tests.
#pragma once
#include <cblas.h>
