// libjpeg and libpng's simplified API, for reading pictures as model inputs.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <jpeglib.h>
#include <png.h>
