/* Loads ONNX Runtime's C library, runs a model once and says so: what a C program pays until its first answer.

     cc -O2 onnxruntime_start.c -ldl -o start
     start LIBRARY MODEL THREADS [NAME ELEMENT(f32|i64) RANK LENGTH...]... -- OUTPUT...

   Prints "answered" after the run and waits for the end of standard input, so that its memory can be read. The functions are taken
   from the table of the C interface by their number; the table only ever grows at its end. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const void *const *(*get_api)(uint32_t version); const char *(*get_version)(void); } api_base;

enum {
  get_error_message = 2, create_env = 3, create_session = 7, run = 9, create_options = 10, set_severity = 22, set_intra_threads = 24, set_inter_threads = 25,
  create_tensor = 49, create_cpu_memory = 69
};

static const void *const *api;

static void check(void *status, const char *what) {
  if (status == NULL) return;
  fprintf(stderr, "%s: %s\n", what, ((const char *(*)(const void *))api[get_error_message])(status));
  exit(1);
}

int main(int count, char **words) {
  if (count < 5) return fprintf(stderr, "usage: start LIBRARY MODEL THREADS [NAME ELEMENT RANK LENGTH...]... -- OUTPUT...\n"), 2;
  void *library = dlopen(words[1], RTLD_NOW);
  if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 1;
  const api_base *(*get_base)(void) = (const api_base *(*)(void))(uintptr_t)dlsym(library, "OrtGetApiBase");
  if (get_base == NULL || (api = get_base()->get_api(1)) == NULL) return fprintf(stderr, "no C interface\n"), 1;

  void *env, *options, *session, *memory;
  check(((void *(*)(int, const char *, void **))api[create_env])(3, "start", &env), "environment");
  check(((void *(*)(void **))api[create_options])(&options), "options");
  check(((void *(*)(void *, int))api[set_severity])(options, 3), "severity");
  check(((void *(*)(void *, int))api[set_intra_threads])(options, atoi(words[3])), "threads");
  check(((void *(*)(void *, int))api[set_inter_threads])(options, 1), "threads");
  check(((void *(*)(void *, const char *, void *, void **))api[create_session])(env, words[2], options, &session), "session");
  check(((void *(*)(int, int, void **))api[create_cpu_memory])(1, 0, &memory), "memory");

  const char *names[64], *outputs[64];
  void *inputs[64], *results[64] = {NULL};
  size_t input_count = 0, output_count = 0;
  int word = 4;
  while (word < count && strcmp(words[word], "--") != 0) {
    if (input_count == 64 || word + 2 >= count) return fprintf(stderr, "unreadable inputs\n"), 2;
    names[input_count] = words[word++];
    int is_integer = strcmp(words[word++], "i64") == 0, rank = atoi(words[word++]);
    int64_t lengths[16], elements = 1;
    for (int axis = 0; axis < rank && axis < 16 && word < count; axis++) elements *= lengths[axis] = atoll(words[word++]);
    size_t bytes = (size_t)elements * (is_integer ? 8 : 4);
    void *data = calloc(bytes ? bytes : 1, 1);
    for (int64_t element = 0; element < elements; element++) {
      if (is_integer) ((int64_t *)data)[element] = 1; else ((float *)data)[element] = (float)(element % 255) / 255;
    }
    check(
        ((void *(*)(void *, void *, size_t, const int64_t *, size_t, int, void **))api[create_tensor])(
            memory, data, bytes, lengths, (size_t)rank, is_integer ? 7 : 1, &inputs[input_count]),
        names[input_count]);
    input_count++;
  }
  for (word++; word < count && output_count < 64; word++) outputs[output_count++] = words[word];
  check(
      ((void *(*)(void *, const void *, const char *const *, void *const *, size_t, const char *const *, size_t, void **))api[run])(
          session, NULL, names, inputs, input_count, outputs, output_count, results),
      "run");
  puts("answered");
  fflush(stdout);
  while (getchar() != EOF) {}
  return 0;
}
