#include "store/opened.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/err.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define PAGE_BYTES ((size_t)65536) /* a multiple of every page size there is */

/* Seqs that are known to be of no use to us, each at the place of its hash: a newer one takes it over. */
#define NOT_SLOTS ((size_t)1 << 17)

#define TABLE_START ((size_t)256)

/* A stretch of the file. */
struct chunk {
    struct chunk *next;
    char *data;
    size_t size, used;
};

struct opened_entry {
    int64_t seq; /* + 1; 0 = free */
    struct slice text;
};

struct opened {
    int fd;
    pthread_rwlock_t lock;
    struct opened_entry *entries; /* hash table */
    size_t count, slots;
    struct chunk *chunks; /* the newest first */
    off_t size;
    _Atomic int64_t *nots; /* seq + 1 */
};

static size_t seq_hash(int64_t seq)
{
    return (size_t)(((uint64_t)seq * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

static int file_nameless(const char *folder, int *ret_fd)
{
    char *path = NULL;
    if (asprintf(&path, "%s/opened.XXXXXX", folder) < 0) return err_set(ERR_NOMEM, "out of memory");
    int fd = mkostemp(path, O_CLOEXEC); /* mode 0600 */
    int err = fd < 0 ? err_errno(folder, "making a file for what is decrypted") : OK;
    if (fd >= 0 && unlink(path) != 0) err = err_errno(path, "taking the name of the file away");
    free(path);
    if (err == OK)
        *ret_fd = fd;
    else if (fd >= 0)
        (void)close(fd);
    return err;
}

int opened_new(const char *folder, struct opened **ret_opened)
{
    struct opened *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return err_set(ERR_NOMEM, "out of memory");
    opened->fd = -1;
    (void)pthread_rwlock_init(&opened->lock, NULL);
    opened->nots = calloc(NOT_SLOTS, sizeof *opened->nots);
    opened->entries = calloc(TABLE_START, sizeof *opened->entries);
    opened->slots = TABLE_START;
    int err = opened->nots == NULL || opened->entries == NULL ? err_set(ERR_NOMEM, "out of memory")
                                                              : file_nameless(folder, &opened->fd);
    if (err == OK)
        *ret_opened = opened;
    else
        opened_free(opened);
    return err;
}

void opened_free(struct opened *opened)
{
    if (opened == NULL) return;
    for (struct chunk *chunk = opened->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        (void)munmap(chunk->data, chunk->size);
        free(chunk);
    }
    if (opened->fd >= 0) (void)close(opened->fd);
    free(opened->entries);
    free(opened->nots);
    (void)pthread_rwlock_destroy(&opened->lock);
    free(opened);
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

/* Where `seq` stands, or would. */
static struct opened_entry *entry_of(struct opened_entry *entries, size_t slots, int64_t seq)
{
    size_t at = seq_hash(seq) & (slots - 1);
    while (entries[at].seq != 0 && entries[at].seq != seq + 1)
        at = (at + 1) & (slots - 1);
    return &entries[at];
}

static int table_grow(struct opened *opened)
{
    if (opened->count * 2 < opened->slots) return OK;
    size_t slots = opened->slots * 2;
    struct opened_entry *entries = calloc(slots, sizeof *entries);
    if (entries == NULL) return err_set(ERR_NOMEM, "no memory to remember %zu private messages", opened->count);
    for (size_t i = 0; i < opened->slots; i++)
        if (opened->entries[i].seq != 0) *entry_of(entries, slots, opened->entries[i].seq - 1) = opened->entries[i];
    free(opened->entries);
    opened->entries = entries;
    opened->slots = slots;
    return OK;
}

/* ---- texts -------------------------------------------------------------------------------------------------------- */

static int chunk_add(struct opened *opened, size_t len)
{
    size_t size = len <= CHUNK_BYTES ? CHUNK_BYTES : (len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    struct chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL) return err_set(ERR_NOMEM, "out of memory");
    /* Taken before it is written to: a write to a mapping cannot say that the disk is full. */
    errno = posix_fallocate(opened->fd, opened->size, (off_t)size);
    void *data = MAP_FAILED;
    if (errno == 0) data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, opened->fd, opened->size);
    if (data == MAP_FAILED) {
        free(chunk);
        return err_errno("private messages", "keeping what was decrypted");
    }
    *chunk = (struct chunk){ .next = opened->chunks, .data = data, .size = size };
    opened->chunks = chunk;
    opened->size += (off_t)size;
    return OK;
}

static int text_add(struct opened *opened, struct slice text, struct slice *ret_text)
{
    struct chunk *chunk = opened->chunks;
    int err = chunk == NULL || chunk->size - chunk->used < text.len ? chunk_add(opened, text.len) : OK;
    if (err != OK) return err;
    chunk = opened->chunks;
    memcpy(chunk->data + chunk->used, text.data, text.len);
    *ret_text = (struct slice){ chunk->data + chunk->used, text.len };
    chunk->used += text.len;
    return OK;
}

/* ---- for everybody ------------------------------------------------------------------------------------------------ */

enum opened_state opened_look(struct opened *opened, int64_t seq, struct slice *ret_text)
{
    if (atomic_load_explicit(&opened->nots[seq_hash(seq) % NOT_SLOTS], memory_order_relaxed) == seq + 1)
        return OPENED_NOT;
    (void)pthread_rwlock_rdlock(&opened->lock);
    const struct opened_entry *entry = entry_of(opened->entries, opened->slots, seq);
    bool found = entry->seq != 0;
    if (found) *ret_text = entry->text;
    (void)pthread_rwlock_unlock(&opened->lock);
    return found ? OPENED_YES : OPENED_UNKNOWN;
}

void opened_note_not(struct opened *opened, int64_t seq)
{
    atomic_store_explicit(&opened->nots[seq_hash(seq) % NOT_SLOTS], seq + 1, memory_order_relaxed);
}

int opened_keep(struct opened *opened, int64_t seq, struct slice text, struct slice *ret_text)
{
    (void)pthread_rwlock_wrlock(&opened->lock);
    int err = table_grow(opened);
    struct opened_entry *entry = entry_of(opened->entries, opened->slots, seq);
    if (err == OK && entry->seq == 0) {
        err = text_add(opened, text, &entry->text);
        if (err == OK) {
            entry->seq = seq + 1;
            opened->count++;
        }
    }
    if (err == OK) *ret_text = entry->text;
    (void)pthread_rwlock_unlock(&opened->lock);
    return err;
}
