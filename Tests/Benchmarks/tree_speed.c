// Times decision trees in one process: code compiled by Ingot (--emit so), ONNX Runtime's C library, and C made by tl2cgen from treelite.
//
//   cc -O2 -pthread tree_speed.c -o tree_speed -ldl
//   ./tree_speed ROWS.f32 COUNT FEATURES THREADS ONNXRUNTIME MODEL.onnx INPUT TREELITE.so|- INGOT.so PREFIX
//
// Reads commands, one a line: "PEER BATCH SECONDS" with PEER one of ingot, onnxruntime, treelite; answers with the seconds of one call. A batch of 1
// takes another row for each call, as requests do: a processor learns the way of a single row through branches by heart. Ingot's library and
// treelite's code have no threads of their own; with two threads each takes half of the rows, handed over to a thread that waits for them.
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ERROR_MESSAGE = 2, CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_SESSION_OPTIONS = 10, SET_THREADS = 24, OUTPUT_COUNT = 31, OUTPUT_NAME = 37,
       CREATE_TENSOR = 49, CREATE_MEMORY_INFO = 69, DEFAULT_ALLOCATOR = 78 };
enum { MOST = 8, API = 13, FLOAT = 1 };

struct base { void *const *(*table)(uint32_t version); };
static void *const *api;
static float *rows;
static double *wide_rows;
static int64_t row_count, features;
static int threads;

static void fail(const char *what, const char *about) {
  fprintf(stderr, "%s: %s\n", about, what ? what : "?");
  exit(1);
}
static void check(void *status) {
  if (status) fail(((const char *(*)(void *))api[ERROR_MESSAGE])(status), "onnxruntime");
}
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
static void *symbol(void *library, const char *prefix, const char *name) {
  char whole[256];
  snprintf(whole, sizeof whole, "%s%s", prefix, name);
  void *found = dlsym(library, whole);
  if (!found) fail("is not in the library", whole);
  return found;
}

// ONNX Runtime: results are written into the tensors of the first run.
static void *session, *memory_info;
static const char *input_name, *output_names[MOST];
static size_t output_count;
static void **row_values, *batch_value, *row_results[MOST], *batch_results[MOST];

static void *tensor(int64_t first, int64_t count) {
  int64_t shape[2] = {count, features};
  void *value;
  check(((void *(*)(void *, void *, size_t, const int64_t *, size_t, int, void **))api[CREATE_TENSOR])(
    memory_info, rows + first * features, (size_t)(count * features) * 4, shape, 2, FLOAT, &value));
  return value;
}
static void run_onnxruntime(void *value, void **results) {
  check(((void *(*)(void *, void *, const char *const *, void *const *, size_t, const char *const *, size_t, void **))api[RUN])(
    session, NULL, &input_name, &value, 1, output_names, output_count, results));
}
static void load_onnxruntime(const char *path, const char *model, const char *input) {
  void *library = dlopen(path, RTLD_NOW);
  if (!library) fail(dlerror(), path);
  const struct base *(*get)(void) = (const struct base *(*)(void))dlsym(library, "OrtGetApiBase");
  if (!get || !(api = get()->table(API))) fail("no ONNX Runtime of 1.13 or newer", path);
  void *env, *options, *allocator;
  check(((void *(*)(int, const char *, void **))api[CREATE_ENV])(3, "trees", &env));
  check(((void *(*)(void **))api[CREATE_SESSION_OPTIONS])(&options));
  check(((void *(*)(void *, int))api[SET_THREADS])(options, threads));
  check(((void *(*)(void *, const char *, void *, void **))api[CREATE_SESSION])(env, model, options, &session));
  check(((void *(*)(int, int, void **))api[CREATE_MEMORY_INFO])(0, 0, &memory_info));
  check(((void *(*)(void **))api[DEFAULT_ALLOCATOR])(&allocator));
  input_name = input;
  check(((void *(*)(void *, size_t *))api[OUTPUT_COUNT])(session, &output_count));
  if (output_count > MOST) output_count = MOST;
  for (size_t i = 0; i < output_count; i++) check(((void *(*)(void *, size_t, void *, char **))api[OUTPUT_NAME])(session, i, allocator, (char **)&output_names[i]));
  row_values = calloc((size_t)row_count, sizeof *row_values);
  for (int64_t row = 0; row < row_count; row++) row_values[row] = tensor(row, 1);
  batch_value = tensor(0, row_count);
}

// Ingot: one library, its number of rows is its only symbol.
static int32_t (*ingot_run)(const void *const *, void *const *, const int64_t *, void *);
static int64_t (*ingot_output_bytes)(int32_t, const int64_t *);
static int64_t (*ingot_arena_bytes)(const int64_t *);
struct half { void *outputs[MOST], *arena; };
static struct half halves[2], whole;

static struct half room(int64_t count) {
  struct half made;
  for (int32_t i = 0; i < MOST; i++) {
    int64_t bytes = (size_t)i < output_count ? ingot_output_bytes(i, &count) : 0;
    made.outputs[i] = aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64);
  }
  made.arena = aligned_alloc(64, (size_t)(ingot_arena_bytes(&count) + 64) / 64 * 64);
  return made;
}
static void run_ingot(int64_t first, int64_t count, struct half *half) {
  const void *input = rows + first * features;
  if (ingot_run(&input, half->outputs, &count, half->arena)) fail("a run failed", "ingot");
}
static void load_ingot(const char *path, const char *prefix) {
  void *library = dlopen(path, RTLD_NOW);
  if (!library) fail(dlerror(), path);
  ingot_run = (int32_t (*)(const void *const *, void *const *, const int64_t *, void *))symbol(library, prefix, "_run");
  ingot_output_bytes = (int64_t (*)(int32_t, const int64_t *))symbol(library, prefix, "_output_bytes");
  ingot_arena_bytes = (int64_t (*)(const int64_t *))symbol(library, prefix, "_arena_bytes");
  whole = room(row_count);
  halves[0] = room(row_count);
  halves[1] = room(row_count);
}

// treelite: one call for each row; thresholds are float or double.
static void (*treelite_predict)(void *, int, void *);
static int treelite_is_wide;
static char *treelite_results;
enum { RESULT_BYTES = 1024 };

static void run_treelite(int64_t first, int64_t count) {
  for (int64_t row = first; row < first + count; row++)
    treelite_predict(treelite_is_wide ? (void *)(wide_rows + row * features) : (void *)(rows + row * features), 0, treelite_results + row * RESULT_BYTES);
}
static void load_treelite(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  if (!library) fail(dlerror(), path);
  treelite_predict = (void (*)(void *, int, void *))symbol(library, "", "predict");
  treelite_is_wide = !strcmp(((const char *(*)(void))symbol(library, "", "get_threshold_type"))(), "float64");
  treelite_results = calloc((size_t)row_count, RESULT_BYTES);
}

// The second thread takes the second half.
static atomic_int order, done, is_awake;
static int64_t order_rows;
static int order_peer;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static void half_of(int peer, int64_t first, int64_t count, struct half *half) {
  if (peer == 'i') run_ingot(first, count, half); else run_treelite(first, count);
}
static void *second(void *unused) {
  (void)unused;
  int seen = 0;
  for (;;) {
    pthread_mutex_lock(&mutex);
    while (!atomic_load(&is_awake)) pthread_cond_wait(&wake, &mutex);
    pthread_mutex_unlock(&mutex);
    while (atomic_load(&is_awake)) {
      if (atomic_load_explicit(&order, memory_order_acquire) == seen) {
        __builtin_ia32_pause();
        continue;
      }
      seen++;
      half_of(order_peer, order_rows / 2, order_rows - order_rows / 2, &halves[1]);
      atomic_store_explicit(&done, seen, memory_order_release);
    }
  }
  return NULL;
}
static void run_halves(int peer, int64_t count) {
  order_peer = peer;
  order_rows = count;
  int number = atomic_fetch_add_explicit(&order, 1, memory_order_release) + 1;
  half_of(peer, 0, count / 2, &halves[0]);
  while (atomic_load_explicit(&done, memory_order_acquire) != number) __builtin_ia32_pause();
}

static void call(int peer, int64_t batch, int64_t number) {
  if (batch == 1) {
    int64_t row = number % row_count;
    if (peer == 'i') run_ingot(row, 1, &whole);
    else if (peer == 't') run_treelite(row, 1);
    else run_onnxruntime(row_values[row], row_results);
  } else if (peer == 'o') run_onnxruntime(batch_value, batch_results);
  else if (threads == 2) run_halves(peer, batch);
  else if (peer == 'i') run_ingot(0, batch, &whole);
  else run_treelite(0, batch);
}

int main(int count, char **words) {
  if (count != 11) fail("wrong usage", "tree_speed");
  row_count = atoll(words[2]);
  features = atoll(words[3]);
  threads = atoi(words[4]);
  rows = aligned_alloc(64, (size_t)(row_count * features * 4 + 64) / 64 * 64);
  wide_rows = malloc((size_t)(row_count * features) * 8);
  FILE *file = fopen(words[1], "rb");
  if (!file || fread(rows, 4, (size_t)(row_count * features), file) != (size_t)(row_count * features)) fail("cannot be read", words[1]);
  fclose(file);
  for (int64_t i = 0; i < row_count * features; i++) wide_rows[i] = rows[i];
  load_onnxruntime(words[5], words[6], words[7]);
  if (strcmp(words[8], "-")) load_treelite(words[8]);
  load_ingot(words[9], words[10]);
  pthread_t thread;
  if (threads == 2 && pthread_create(&thread, NULL, second, NULL)) fail("no thread", "pthread_create");
  char peer[32];
  long long batch, number = 0;
  double seconds;
  while (scanf("%31s %lld %lf", peer, &batch, &seconds) == 3) {
    if (peer[0] == 't' && !treelite_predict) fail("there is none", "treelite");
    int shares = threads == 2 && batch > 1 && peer[0] != 'o';
    if (shares) {
      pthread_mutex_lock(&mutex);
      atomic_store(&is_awake, 1);
      pthread_cond_signal(&wake);
      pthread_mutex_unlock(&mutex);
    }
    for (int i = 0; i < (batch == 1 ? 2000 : 2); i++) call(peer[0], batch, number++);
    long long calls = 0, step = batch == 1 ? 64 : 1;
    double start = now(), end;
    do {
      for (int i = 0; i < step; i++) call(peer[0], batch, number++);
      calls += step;
      end = now();
    } while (end - start < seconds);
    atomic_store(&is_awake, 0);
    printf("%.12g\n", (end - start) / (double)calls);
    fflush(stdout);
  }
  return 0;
}
