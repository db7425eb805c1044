#include "server/plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "store/err.h"

/* A bit for so many bytes of log. No two records that are at least as long start in the same piece; about shorter ones
 * nothing is remembered. */
#define PIECE_BYTES 64

/* Address space for the bits; memory is taken as they are set, a five-hundredth of the log at most. Behind 32 GiB of log
 * nothing is remembered. */
#define BITS_BYTES ((size_t)64 << 20)
#define WORDS (BITS_BYTES / sizeof(uint64_t))

/* One for each log that was shown: a followed log may be replaced. */
struct plain_log {
    struct plain_log *next;
    const struct log *log;
    const void *base; /* of `words`, for prefetching */
    _Atomic uint64_t *words;
};

struct plain {
    pthread_mutex_t lock; /* for adding to the list */
    _Atomic(struct plain_log *) first;
};

int plain_open(struct plain **ret_plain)
{
    struct plain *plain = calloc(1, sizeof *plain);
    if (plain == NULL) return err_set(ERR_NOMEM, "out of memory");
    (void)pthread_mutex_init(&plain->lock, NULL);
    *ret_plain = plain;
    return OK;
}

void plain_free(struct plain *plain)
{
    if (plain == NULL) return;
    for (struct plain_log *log = atomic_load(&plain->first), *next; log != NULL; log = next) {
        next = log->next;
        (void)munmap(log->words, BITS_BYTES);
        free(log);
    }
    (void)pthread_mutex_destroy(&plain->lock);
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
    void *words = mmap(NULL, BITS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (words == MAP_FAILED) {
        free(of);
        return NULL;
    }
    *of = (struct plain_log){ .next = atomic_load(&plain->first), .log = log, .base = words, .words = words };
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
    if (of != NULL && word < WORDS) __builtin_prefetch((const char *)of->base + word * sizeof *of->words);
}

/* false = the record has no bit. */
static bool bit_of(const struct log_record *record, size_t *ret_word, uint64_t *ret_mask)
{
    uint64_t piece = (uint64_t)record->seq / PIECE_BYTES;
    if (record->seq < 0 || record->value.len < PIECE_BYTES || piece / 64 >= WORDS) return false;
    *ret_word = (size_t)(piece / 64);
    *ret_mask = UINT64_C(1) << (piece % 64);
    return true;
}

bool plain_known(struct plain *plain, const struct log *log, const struct log_record *record)
{
    size_t word;
    uint64_t mask;
    if (plain == NULL || !bit_of(record, &word, &mask)) return false;
    const struct plain_log *of = log_find(plain, log);
    return of != NULL && (atomic_load_explicit(&of->words[word], memory_order_relaxed) & mask) != 0;
}

void plain_note(struct plain *plain, const struct log *log, const struct log_record *record)
{
    size_t word;
    uint64_t mask;
    if (plain == NULL || !bit_of(record, &word, &mask)) return;
    struct plain_log *of = log_get_or_add(plain, log);
    if (of != NULL) (void)atomic_fetch_or_explicit(&of->words[word], mask, memory_order_relaxed);
}
