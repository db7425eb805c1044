/* Answers of many bytes while several clients take as much as they are given: each gets a block, and then waits for its turn behind the others.
 * Turns are given out by threads that step back, one at a time each, so that on an HTTP thread few blocks at most stand between a request and
 * its answer, however many clients read at once. */
#include <stdlib.h>

#include "server/http_internal.h"
#include "store/err.h"

/* So many may take what they can without turns. */
#define TURNS_FREE 4

/* A client whose socket is full does not come back for more: nobody waits for it any longer than this. */
#define TURN_MS 1

/* A turn that is under way. */
struct turn_slot {
    uint64_t number; /* 0 = free */
    pthread_cond_t over;
};

struct turns {
    struct jobs *jobs; /* exchanges that wait for their turn */
    pthread_mutex_t lock;
    uint64_t last;
    size_t count; /* as many as there are threads */
    struct turn_slot slots[];
};

int turns_start(size_t count, struct turns **ret_turns)
{
    struct turns *turns = calloc(1, sizeof *turns + count * sizeof turns->slots[0]);
    if (turns == NULL) return err_set(ERR_NOMEM, "out of memory");
    int err = jobs_start((int64_t)count, INT64_MAX, &turns->jobs);
    if (err != OK) {
        free(turns);
        return err;
    }
    turns->count = count;
    (void)pthread_mutex_init(&turns->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (size_t i = 0; i < count; i++)
        (void)pthread_cond_init(&turns->slots[i].over, &attr);
    (void)pthread_condattr_destroy(&attr);
    *ret_turns = turns;
    return OK;
}

void turns_stop(struct turns *turns)
{
    if (turns == NULL) return;
    jobs_stop(turns->jobs);
    for (size_t i = 0; i < turns->count; i++)
        (void)pthread_cond_destroy(&turns->slots[i].over);
    (void)pthread_mutex_destroy(&turns->lock);
    free(turns);
}

void turn_end(struct exchange *exchange)
{
    struct turns *turns = exchange->http->turns;
    exchange->given = 0;
    if (exchange->turn == 0) return;
    (void)pthread_mutex_lock(&turns->lock);
    for (size_t i = 0; i < turns->count; i++) {
        if (turns->slots[i].number != exchange->turn) continue;
        turns->slots[i].number = 0;
        (void)pthread_cond_broadcast(&turns->slots[i].over);
    }
    (void)pthread_mutex_unlock(&turns->lock);
    exchange->turn = 0;
}

/* There is one for each thread. Under the lock. */
static struct turn_slot *slot_take(struct turns *turns)
{
    struct turn_slot *slot = turns->slots;
    while (slot->number != 0)
        slot++;
    slot->number = ++turns->last;
    return slot;
}

/* Gives the exchange its turn, and waits until it is over. */
static void turn_work(void *ctx)
{
    struct exchange *exchange = ctx;
    struct http *http = exchange->http;
    struct turns *turns = http->turns;
    struct timespec until;
    (void)pthread_mutex_lock(&turns->lock);
    struct turn_slot *slot = slot_take(turns);
    uint64_t number = exchange->turn = slot->number;
    (void)pthread_mutex_unlock(&turns->lock);
    exchange_give_back(exchange);
    /* from here on the exchange may be gone */
    time_after(TURN_MS, &until);
    (void)pthread_mutex_lock(&turns->lock);
    while (slot->number == number && !atomic_load(&http->stopping) &&
           pthread_cond_timedwait(&slot->over, &turns->lock, &until) == 0) {
    }
    if (slot->number == number) slot->number = 0;
    (void)pthread_mutex_unlock(&turns->lock);
}

bool turns_crowded(const struct http *http)
{
    return atomic_load_explicit(&http->flowing, memory_order_relaxed) > TURNS_FREE;
}

bool turn_wait(struct exchange *exchange)
{
    struct http *http = exchange->http;
    if (exchange->given == 0) return false;
    turn_end(exchange);
    if (!turns_crowded(http) || atomic_load(&http->stopping)) return false;
    http->server->metrics.http_turns++;
    return exchange_give(exchange, http->turns->jobs, turn_work) == OK;
}
