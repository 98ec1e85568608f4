// Loads a model with ONNX Runtime's C library, runs it once on one thread, and ends: what a C program pays for its first answer.
//
//   cc -O2 start_onnxruntime.c -o start_onnxruntime -ldl
//   ./start_onnxruntime LIBRARY MODEL [INPUT FILE.npy]...
//
// No header is needed: the library hands out a table of functions, whose places never change (it only grows at its end).
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_MESSAGE = 2, CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_SESSION_OPTIONS = 10, SET_THREADS = 24, OUTPUT_COUNT = 31, OUTPUT_NAME = 37,
       CREATE_TENSOR = 49, CREATE_MEMORY_INFO = 69, DEFAULT_ALLOCATOR = 78 };
enum { MOST = 64, WARNINGS = 2, API = 13 };

struct base { void *const *(*table)(uint32_t version); };
static void *const *api;

static void check(void *status) {
  if (!status) return;
  fprintf(stderr, "%s\n", ((const char *(*)(void *))api[ERROR_MESSAGE])(status));
  exit(1);
}

static void complain(const char *what, const char *about) {
  fprintf(stderr, "%s: %s\n", about, what);
  exit(1);
}

// A tensor over the contents of a .npy file.
static void *tensor(const char *path, void *memory_info) {
  FILE *file = fopen(path, "rb");
  unsigned char start[10];
  if (!file || fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY\1", 7)) complain("not a .npy file", path);
  size_t length = start[8] | start[9] << 8;
  char *header = calloc(length + 1, 1);
  if (!header || fread(header, 1, length, file) != length) complain("ends early", path);
  int type = strstr(header, "<f4") ? 1 : strstr(header, "<i8") ? 7 : strstr(header, "<i4") ? 6 : 0;
  size_t bytes = type == 7 ? 8 : 4, rank = 0;
  int64_t shape[8];
  char *place = strchr(header, '(');
  if (!type || !place) complain("not float32, int64 or int32", path);
  for (place++; *place && *place != ')' && rank < 8;) {
    char *end;
    shape[rank] = strtoll(place, &end, 10);
    if (end == place) break;
    bytes *= (size_t)shape[rank++];
    place = end + strspn(end, ", ");
  }
  void *data = malloc(bytes), *value;
  if (!data || fread(data, 1, bytes, file) != bytes) complain("ends early", path);
  fclose(file);
  free(header);
  check(((void *(*)(void *, void *, size_t, const int64_t *, size_t, int, void **))api[CREATE_TENSOR])(memory_info, data, bytes, shape, rank, type, &value));
  return value;
}

int main(int count, char **words) {
  if (count < 3 || (count - 3) % 2 || count > 2 * MOST) complain("wrong usage", "start_onnxruntime LIBRARY MODEL [INPUT FILE.npy]...");
  void *library = dlopen(words[1], RTLD_NOW);
  if (!library) complain(dlerror(), words[1]);
  const struct base *(*get)(void) = (const struct base *(*)(void))dlsym(library, "OrtGetApiBase");
  if (!get || !(api = get()->table(API))) complain("no ONNX Runtime of 1.13 or newer", words[1]);
  void *env, *options, *session, *memory_info, *allocator;
  check(((void *(*)(int, const char *, void **))api[CREATE_ENV])(WARNINGS + 1, "start", &env));
  check(((void *(*)(void **))api[CREATE_SESSION_OPTIONS])(&options));
  check(((void *(*)(void *, int))api[SET_THREADS])(options, 1));
  check(((void *(*)(void *, const char *, void *, void **))api[CREATE_SESSION])(env, words[2], options, &session));
  check(((void *(*)(int, int, void **))api[CREATE_MEMORY_INFO])(0, 0, &memory_info));
  check(((void *(*)(void **))api[DEFAULT_ALLOCATOR])(&allocator));
  const char *names[MOST], *wanted[MOST];
  void *inputs[MOST], *outputs[MOST] = {0};
  size_t given = (size_t)(count - 3) / 2, results;
  for (size_t i = 0; i < given; i++) {
    names[i] = words[3 + 2 * i];
    inputs[i] = tensor(words[4 + 2 * i], memory_info);
  }
  check(((void *(*)(void *, size_t *))api[OUTPUT_COUNT])(session, &results));
  if (results > MOST) results = MOST;
  for (size_t i = 0; i < results; i++) check(((void *(*)(void *, size_t, void *, char **))api[OUTPUT_NAME])(session, i, allocator, (char **)&wanted[i]));
  check(((void *(*)(void *, void *, const char *const *, void *const *, size_t, const char *const *, size_t, void **))api[RUN])(
    session, NULL, names, inputs, given, wanted, results, outputs));
  printf("%zu outputs\n", results);
  return 0;
}
