#include "server/plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "store/err.h"
#include "views/view_types.h"

/* A bit for so many bytes of log. No two records that are at least as long start in the same piece; about shorter ones
 * nothing is remembered. */
#define PIECE_BYTES 64
_Static_assert(ODD_BOX1_BYTES_MIN >= PIECE_BYTES, "two of them share no piece");

/* Address space for the bits; memory is taken as they are set, a five-hundredth of the log at most. Behind 32 GiB of log
 * nothing is remembered. */
#define BITS_BYTES ((size_t)64 << 20)
#define WORDS (BITS_BYTES / sizeof(uint64_t))

/* The view is asked again when it is so much further. */
#define LEARN_STEP (INT64_C(1) << 20)

/* It is asked for the first time when so many rows are wanted: what it knows of a large log takes a few ms, for which the first page after a
 * start would wait. */
#define LEARN_ROWS 1000

/* One for each log that was shown: a followed log may be replaced. */
struct plain_log {
    struct plain_log *next;
    const struct log *log;
    const char *base;        /* of `words` and then `odd`, for prefetching */
    _Atomic uint64_t *words; /* set = plain */
    _Atomic uint64_t *odd;   /* set = a record that is not plain starts there; up to `learned` all others are */
    _Atomic uint64_t *box1;  /* set = a record that is ODD_BOX1 starts there */
    _Atomic int64_t learned;
};

struct plain {
    pthread_mutex_t lock;     /* for adding to the list */
    pthread_mutex_t learning; /* held by who asks the view */
    _Atomic(struct plain_log *) first;
    _Atomic int64_t wanted; /* rows that were asked for, up to LEARN_ROWS or a little more */
};

int plain_open(struct plain **ret_plain)
{
    struct plain *plain = calloc(1, sizeof *plain);
    if (plain == NULL) return err_set(ERR_NOMEM, "out of memory");
    (void)pthread_mutex_init(&plain->lock, NULL);
    (void)pthread_mutex_init(&plain->learning, NULL);
    *ret_plain = plain;
    return OK;
}

void plain_free(struct plain *plain)
{
    if (plain == NULL) return;
    for (struct plain_log *log = atomic_load(&plain->first), *next; log != NULL; log = next) {
        next = log->next;
        (void)munmap(log->words, 3 * BITS_BYTES);
        free(log);
    }
    (void)pthread_mutex_destroy(&plain->lock);
    (void)pthread_mutex_destroy(&plain->learning);
    free(plain);
}

static struct plain_log *log_find(struct plain *plain, const struct log *log)
{
    struct plain_log *of = atomic_load_explicit(&plain->first, memory_order_acquire);
    while (of != NULL && of->log != log)
        of = of->next;
    return of;
}

static struct plain_log *log_new(struct plain *plain, const struct log *log)
{
    struct plain_log *of = malloc(sizeof *of);
    if (of == NULL) return NULL;
    void *map = mmap(NULL, 3 * BITS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        free(of);
        return NULL;
    }
    *of = (struct plain_log){ .next = atomic_load(&plain->first), .log = log, .base = map, .words = map };
    of->odd = of->words + WORDS;
    of->box1 = of->odd + WORDS;
    atomic_init(&of->learned, SEQ_EMPTY);
    atomic_store_explicit(&plain->first, of, memory_order_release);
    return of;
}

/* NULL = nothing can be remembered of it. */
static struct plain_log *log_get_or_add(struct plain *plain, const struct log *log)
{
    struct plain_log *of = log_find(plain, log);
    if (of != NULL) return of;
    (void)pthread_mutex_lock(&plain->lock);
    of = log_find(plain, log);
    if (of == NULL) of = log_new(plain, log);
    (void)pthread_mutex_unlock(&plain->lock);
    return of;
}

void plain_prefetch(struct plain *plain, const struct log *log, int64_t seq)
{
    const struct plain_log *of = plain == NULL ? NULL : log_find(plain, log);
    size_t word = (size_t)((uint64_t)seq / PIECE_BYTES / 64);
    if (of == NULL || word >= WORDS) return;
    bool learned = seq <= atomic_load_explicit(&of->learned, memory_order_relaxed);
    __builtin_prefetch(of->base + (learned ? BITS_BYTES : 0) + word * sizeof *of->words);
}

/* false = what starts there has no bit. */
static bool bit_of(int64_t seq, size_t *ret_word, uint64_t *ret_mask)
{
    uint64_t piece = (uint64_t)seq / PIECE_BYTES;
    if (seq < 0 || piece / 64 >= WORDS) return false;
    *ret_word = (size_t)(piece / 64);
    *ret_mask = UINT64_C(1) << (piece % 64);
    return true;
}

static bool bit_is_set(const _Atomic uint64_t *words, size_t word, uint64_t mask)
{
    return (atomic_load_explicit(&words[word], memory_order_relaxed) & mask) != 0;
}

static enum plain_kind kind_learned(const struct plain_log *of, const struct log_record *record, size_t word,
                                    uint64_t mask)
{
    if (!bit_is_set(of->odd, word, mask)) return PLAIN_COPY;
    bool box1 = record->value.len >= PIECE_BYTES && bit_is_set(of->box1, word, mask);
    return box1 ? PLAIN_BOX1 : PLAIN_UNKNOWN;
}

enum plain_kind plain_kind(struct plain *plain, const struct log *log, const struct log_record *record)
{
    size_t word;
    uint64_t mask;
    if (plain == NULL || !bit_of(record->seq, &word, &mask)) return PLAIN_UNKNOWN;
    const struct plain_log *of = log_find(plain, log);
    if (of == NULL) return PLAIN_UNKNOWN;
    if (record->seq <= atomic_load_explicit(&of->learned, memory_order_acquire))
        return kind_learned(of, record, word, mask);
    bool noted = record->value.len >= PIECE_BYTES && bit_is_set(of->words, word, mask);
    return noted ? PLAIN_COPY : PLAIN_UNKNOWN;
}

bool plain_known(struct plain *plain, const struct log *log, const struct log_record *record)
{
    return plain_kind(plain, log, record) == PLAIN_COPY;
}

void plain_note(struct plain *plain, const struct log *log, const struct log_record *record)
{
    size_t word;
    uint64_t mask;
    if (plain == NULL || record->value.len < PIECE_BYTES || !bit_of(record->seq, &word, &mask)) return;
    struct plain_log *of = log_get_or_add(plain, log);
    if (of != NULL) (void)atomic_fetch_or_explicit(&of->words[word], mask, memory_order_relaxed);
}

static void learn_bit(_Atomic uint64_t *words, int64_t seq)
{
    size_t word;
    uint64_t mask;
    if (bit_of(seq, &word, &mask)) (void)atomic_fetch_or_explicit(&words[word], mask, memory_order_relaxed);
}

static int learn_odd(void *ctx, int64_t seq)
{
    const struct plain_log *of = ctx;
    learn_bit(of->odd, seq);
    return OK;
}

static int learn_box1(void *ctx, int64_t seq)
{
    const struct plain_log *of = ctx;
    learn_bit(of->box1, seq);
    learn_bit(of->odd, seq);
    return OK;
}

/* All of `learned` is good even if this fails half-way: bits above it say nothing. */
static void learn_from(struct plain *plain, const struct flume_read *read)
{
    struct plain_log *of = log_get_or_add(plain, read->log);
    const struct view *types = flume_view(read->flume, VIEW_types);
    if (of == NULL || types == NULL) return;
    int64_t since = flume_read_since(read, types), learned = atomic_load(&of->learned);
    if (since > learned && types_odd(read, ODD_OTHER, learned + 1, learn_odd, of) == OK &&
        types_odd(read, ODD_BOX1, learned + 1, learn_box1, of) == OK)
        atomic_store_explicit(&of->learned, since, memory_order_release);
}

static bool learn_pays(struct plain *plain, struct flume *flume)
{
    const struct plain_log *of = log_find(plain, flume_log(flume));
    int64_t since = flume_since(flume, VIEW_MASK(types));
    int64_t learned = of == NULL ? SEQ_EMPTY : atomic_load_explicit(&of->learned, memory_order_relaxed);
    return learned == SEQ_EMPTY ? since != SEQ_EMPTY : since - learned >= LEARN_STEP;
}

void plain_learn(struct plain *plain, struct flume *flume)
{
    struct flume_read read;
    if (plain == NULL || !learn_pays(plain, flume) || pthread_mutex_trylock(&plain->learning) != 0) return;
    if (flume_read_begin(flume, &read) == OK) {
        learn_from(plain, &read);
        flume_read_end(&read);
    }
    (void)pthread_mutex_unlock(&plain->learning);
}

void plain_expect(struct plain *plain, struct flume *flume, int64_t rows)
{
    if (plain == NULL) return;
    if (rows < 0 || rows > LEARN_ROWS) rows = LEARN_ROWS;
    if (atomic_load(&plain->wanted) < LEARN_ROWS && atomic_fetch_add(&plain->wanted, rows) + rows < LEARN_ROWS) return;
    plain_learn(plain, flume);
}
