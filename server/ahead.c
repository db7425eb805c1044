#include "server/ahead.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/sent.h"
#include "server/step_back.h"
#include "store/err.h"

#define THREADS_MAX 64

/* A piece is what one thread takes at once: about half a millisecond. */
#define PIECE_LINES 8
#define PIECE_BYTES ((size_t)16 << 10)

/* Where so much makes no piece it waits until the body is there. */
#define REST_MAX ((size_t)64 << 10)

struct piece {
    struct piece *next;
    size_t first; /* number of its first line */
    size_t count;
    size_t charge; /* bytes counted for it in the pool */
    struct slice lines[PIECE_LINES];
    struct feed_message messages[PIECE_LINES];
    char text[]; /* what `lines` point into, unless that is the body */
};

struct ahead {
    struct ahead_pool *pool;
    size_t max;
    struct sent_lines at; /* in the body: what is not in a piece yet */
    size_t count;         /* lines in pieces */
    size_t looked;        /* length of the body at the last look */
    bool over;            /* nothing more is worth doing ahead */
    atomic_size_t bad;    /* the first line found so far that is refused */

    /* under the pool's lock */
    struct piece *first, **tail; /* all of them */
    struct piece *todo;          /* the first that nobody has taken */
    size_t working;              /* pieces taken and not done */
    struct ahead *next;          /* in the pool's list; by `listed` */
    bool listed;
};

struct ahead_pool {
    pthread_mutex_t lock; /* not held while lines are checked */
    pthread_cond_t wanted, done;
    struct ahead *first, **tail; /* batches with something to do, taking turns */
    bool stopping;
    atomic_size_t bytes; /* held by pieces made while their bodies were coming */
    unsigned thread_count;
    pthread_t threads[];
};

/* ---- checking ---- */

/* Every line before the first bad one is looked at, whoever finds that one when. */
static void piece_check(struct ahead *batch, struct piece *piece)
{
    for (size_t i = 0; i < piece->count; i++) {
        size_t number = piece->first + i, bad = atomic_load(&batch->bad);
        if (number > bad) return;
        if (sent_check(piece->lines[i], &piece->messages[i]) == OK) continue;
        while (number < bad && !atomic_compare_exchange_weak(&batch->bad, &bad, number)) {
        }
        return;
    }
}

static void list_add(struct ahead_pool *pool, struct ahead *batch)
{
    if (batch->listed) return;
    batch->listed = true;
    batch->next = NULL;
    *pool->tail = batch;
    pool->tail = &batch->next;
}

static void list_remove(struct ahead_pool *pool, struct ahead *batch)
{
    if (!batch->listed) return;
    struct ahead **link = &pool->first;
    while (*link != batch)
        link = &(*link)->next;
    *link = batch->next;
    if (pool->tail == &batch->next) pool->tail = link;
    batch->listed = false;
}

/* Checks the next piece of the batch; false = there is none. Under the lock, which is let go of meanwhile. */
static bool batch_work(struct ahead *batch)
{
    struct ahead_pool *pool = batch->pool;
    struct piece *piece = batch->todo;
    if (piece == NULL) return false;
    batch->todo = piece->next;
    batch->working++;
    list_remove(pool, batch);
    if (batch->todo != NULL) list_add(pool, batch);
    (void)pthread_mutex_unlock(&pool->lock);
    piece_check(batch, piece);
    (void)pthread_mutex_lock(&pool->lock);
    if (--batch->working == 0) (void)pthread_cond_broadcast(&pool->done);
    return true;
}

static void batch_wait(struct ahead *batch)
{
    while (batch->working > 0)
        (void)pthread_cond_wait(&batch->pool->done, &batch->pool->lock);
}

/* ---- the pool ---- */

static void *pool_run(void *ctx)
{
    struct ahead_pool *pool = ctx;
    step_back();
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == NULL && !pool->stopping)
            (void)pthread_cond_wait(&pool->wanted, &pool->lock);
        if (pool->first == NULL) break;
        (void)batch_work(pool->first);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int ahead_pool_start(unsigned threads, struct ahead_pool **ret_pool)
{
    if (threads < 1) threads = 1;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    struct ahead_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    if (pool == NULL) return err_set(ERR_NOMEM, "out of memory");
    pool->tail = &pool->first;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wanted, NULL);
    (void)pthread_cond_init(&pool->done, NULL);
    /* Fewer will do: whoever waits for a batch helps. */
    while (pool->thread_count < threads &&
           pthread_create(&pool->threads[pool->thread_count], NULL, pool_run, pool) == 0)
        pool->thread_count++;
    *ret_pool = pool;
    return OK;
}

void ahead_pool_stop(struct ahead_pool *pool)
{
    if (pool == NULL) return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    (void)pthread_cond_broadcast(&pool->wanted);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->done);
    (void)pthread_cond_destroy(&pool->wanted);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

size_t ahead_pool_bytes(struct ahead_pool *pool)
{
    return atomic_load(&pool->bytes);
}

/* ---- pieces ---- */

/* The next lines of a text of whole lines that make a piece; 0 = there are not enough, and more are to come. *at moves behind them. */
static size_t lines_take(const struct ahead *batch, struct slice text, bool ended, struct sent_lines *at,
                         struct slice lines[PIECE_LINES])
{
    size_t count = 0, from = at->at, number;
    while (count < PIECE_LINES && at->at - from < PIECE_BYTES && batch->count + count < batch->max &&
           sent_lines_next(at, text, &lines[count], &number))
        count++;
    bool full = count == PIECE_LINES || at->at - from >= PIECE_BYTES;
    return ended || full ? count : 0;
}

/* `copied`: the lines move to the piece, for the body will go on growing. */
static struct piece *piece_new(const struct ahead *batch, const struct slice *lines, size_t count, bool copied)
{
    size_t bytes = 0;
    for (size_t i = 0; copied && i < count; i++)
        bytes += lines[i].len;
    struct piece *piece = malloc(sizeof *piece + bytes);
    if (piece == NULL) return NULL;
    *piece = (struct piece){ .first = batch->count, .count = count };
    char *to = piece->text;
    for (size_t i = 0; i < count; i++) {
        piece->lines[i] = lines[i];
        if (!copied) continue;
        memcpy(to, lines[i].data, lines[i].len);
        piece->lines[i].data = to;
        to += lines[i].len;
    }
    /* text, and a record about as long */
    piece->charge = copied ? sizeof *piece + 2 * bytes : 0;
    return piece;
}

static void piece_add(struct ahead *batch, struct piece *piece)
{
    struct ahead_pool *pool = batch->pool;
    batch->count += piece->count;
    (void)atomic_fetch_add(&pool->bytes, piece->charge);
    (void)pthread_mutex_lock(&pool->lock);
    *batch->tail = piece;
    batch->tail = &piece->next;
    if (batch->todo == NULL) batch->todo = piece;
    list_add(pool, batch);
    (void)pthread_cond_signal(&pool->wanted);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void pieces_free(struct ahead *batch)
{
    while (batch->first != NULL) {
        struct piece *piece = batch->first;
        batch->first = piece->next;
        for (size_t i = 0; i < piece->count; i++)
            feed_message_free(&piece->messages[i]);
        (void)atomic_fetch_sub(&batch->pool->bytes, piece->charge);
        free(piece);
    }
}

/* ---- a batch ---- */

struct ahead *ahead_new(struct ahead_pool *pool, size_t max)
{
    struct ahead *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    batch->pool = pool;
    batch->max = max;
    batch->tail = &batch->first;
    atomic_init(&batch->bad, SIZE_MAX);
    return batch;
}

void ahead_free(struct ahead *batch)
{
    if (batch == NULL) return;
    (void)pthread_mutex_lock(&batch->pool->lock);
    batch->todo = NULL;
    list_remove(batch->pool, batch);
    batch_wait(batch);
    (void)pthread_mutex_unlock(&batch->pool->lock);
    pieces_free(batch);
    free(batch);
}

/* What of the body stands in whole lines. */
static struct slice whole_lines(const struct ahead *batch, struct slice body)
{
    const char *end = memrchr(body.data + batch->at.at, '\n', body.len - batch->at.at);
    return (struct slice){ body.data, end == NULL ? batch->at.at : (size_t)(end + 1 - body.data) };
}

void ahead_more(struct ahead *batch, struct slice body)
{
    struct slice lines[PIECE_LINES];
    if (batch->over || body.len - batch->looked < PIECE_BYTES / 2) return;
    batch->looked = body.len;
    struct slice whole = whole_lines(batch, body);
    while (atomic_load(&batch->bad) == SIZE_MAX && ahead_pool_bytes(batch->pool) < AHEAD_BYTES_MAX) {
        struct sent_lines at = batch->at;
        size_t count = lines_take(batch, whole, false, &at, lines);
        struct piece *piece = count > 0 ? piece_new(batch, lines, count, true) : NULL;
        if (piece == NULL) {
            /* neither what does not end nor what is blank is looked through again and again */
            batch->over = body.len - batch->at.at > REST_MAX;
            return;
        }
        batch->at = at;
        piece_add(batch, piece);
    }
}

/* Moves the messages before the first bad one. */
static void batch_move(struct ahead *batch, size_t bad, struct feed_message *messages)
{
    for (struct piece *piece = batch->first; piece != NULL; piece = piece->next)
        for (size_t i = 0; i < piece->count && piece->first + i < bad; i++) {
            messages[piece->first + i] = piece->messages[i];
            piece->messages[i] = (struct feed_message){ 0 };
        }
}

int ahead_end(struct ahead *batch, struct slice body, size_t count, struct feed_message *messages, size_t *ret_bad)
{
    struct slice lines[PIECE_LINES];
    size_t some;
    int err = OK;
    while (err == OK && atomic_load(&batch->bad) == SIZE_MAX &&
           (some = lines_take(batch, body, true, &batch->at, lines)) > 0) {
        struct piece *piece = piece_new(batch, lines, some, false);
        if (piece == NULL)
            err = err_set(ERR_NOMEM, "no memory to check %zu messages", count);
        else
            piece_add(batch, piece);
    }
    (void)pthread_mutex_lock(&batch->pool->lock);
    while (batch_work(batch)) {
    }
    batch_wait(batch);
    (void)pthread_mutex_unlock(&batch->pool->lock);
    if (err != OK) return err;
    size_t bad = atomic_load(&batch->bad);
    if (bad > count) bad = count;
    batch_move(batch, bad, messages);
    *ret_bad = bad;
    return OK;
}
