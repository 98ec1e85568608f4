// OpenBLAS: the yardstick of `ingot bench`, an independent oracle in tests, and the linear algebra of reconstruction while compiling.
#pragma once
#include <cblas.h>

// LAPACK, which the same library holds: matrices by columns.
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda, double *b, const int *ldb, int *info);
