/* A long build: threads scan and gather stretches of the log side by side, the indexer writes them in the order of the log. What they are
 * ahead is bounded, so memory does not depend on the length of the log. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/err.h"
#include "views/flume_internal.h"

#define WORKERS_MAX 3
#define PARTS_MAX (WORKERS_MAX + 1)

/* All parts together; a part that reaches its share before the end of its stretch is written and goes on. */
#define BUILD_MEMORY ((size_t)256 << 20)

/* While readers use the other views parts are small: nothing else is indexed while a view of a part is written. */
#define PART_BYTES ((int64_t)256 << 20)
#define PART_BYTES_SHARED ((int64_t)64 << 20)
#define PART_MS 2000 /* of a slow disk: what was gathered so far is worth keeping */

#define STRETCH_LOOK 1024 /* records looked at together */

enum part_state { PART_FREE, PART_FILLING, PART_FULL };

struct build_part {
    struct flume_gather *gather;
    enum part_state state;
    uint64_t order; /* of its stretch in the log */
    int64_t end;    /* the last record of it */
    struct flume_failure failure;
    bool log_is_bad; /* the failure is the log's */
};

struct flume_build {
    struct flume *flume;
    struct log *log;
    bool slots[VIEWS_MAX];
    bool live[VIEWS_MAX]; /* views that were fresh when it began: they are kept so meanwhile */
    size_t part_memory;
    uint64_t part_records;
    int64_t part_bytes;
    int64_t bound;
    size_t worker_count;
    pthread_t workers[WORKERS_MAX];
    atomic_bool stop;

    pthread_mutex_t cut_lock; /* of the workers; taken before `lock`, held while the log is read */
    int64_t next_from;        /* where the next stretch begins */

    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* under lock; the gather of a part is its worker's while it is filling, the indexer's while it is full */
    struct build_part parts[PARTS_MAX];
    uint64_t next_order; /* of the next stretch */
    uint64_t write_order;
};

/* ---- workers -------------------------------------------------------------------------------------------------------- */

static void failure_set(struct flume_failure *failure, int err)
{
    failure->err = err;
    (void)snprintf(failure->text, sizeof failure->text, "%s", err_detail(err));
}

static uint32_t group_of(int64_t seq)
{
    return run_group(run_unit((uint64_t)seq));
}

/* Where a stretch that begins behind `from` ends: at the end of a group of units (index_keys.h), or when it is large. */
static int build_stretch(const struct flume_build *build, int64_t from, int64_t *ret_end)
{
    struct log_range range = { .min = from < 0 ? 0 : from, .max = build->bound };
    struct log_cursor cursor;
    struct log_record found[STRETCH_LOOK];
    int64_t end = from, bytes = 0;
    uint64_t records = 0;
    int more = log_cursor_open(build->log, &range, &cursor);
    if (more != OK) return more;
    while ((more = log_next_many(&cursor, found, STRETCH_LOOK)) > 0) {
        for (int i = 0; i < more; i++) {
            if (found[i].seq <= from) continue;
            bool group_ends = records > 0 && group_of(found[i].seq) != group_of(end);
            if (group_ends || records >= build->part_records || bytes >= build->part_bytes ||
                atomic_load(&build->stop)) {
                *ret_end = end;
                return OK;
            }
            end = found[i].seq;
            bytes += (int64_t)found[i].value.len;
            records++;
        }
    }
    if (more < 0) return more;
    *ret_end = build->bound;
    return OK;
}

/* A part for the next stretch, once there is a free one; NULL = the build was stopped. */
static struct build_part *build_take(struct flume_build *build)
{
    struct build_part *part = NULL;
    (void)pthread_mutex_lock(&build->lock);
    while (part == NULL && !atomic_load(&build->stop)) {
        for (size_t i = 0; i <= build->worker_count && part == NULL; i++)
            if (build->parts[i].state == PART_FREE) part = &build->parts[i];
        if (part == NULL) (void)pthread_cond_wait(&build->moved, &build->lock);
    }
    if (part != NULL) {
        part->order = build->next_order++;
        part->state = PART_FILLING;
    }
    (void)pthread_mutex_unlock(&build->lock);
    return part;
}

/* The next stretch and a part for it; NULL = there is nothing more to do. */
static struct build_part *build_next(struct flume_build *build)
{
    struct build_part *part = NULL;
    (void)pthread_mutex_lock(&build->cut_lock);
    if (build->next_from != build->bound) part = build_take(build);
    if (part != NULL) {
        int64_t from = build->next_from;
        int err = build_stretch(build, from, &part->end);
        part->log_is_bad = err != OK;
        if (err == OK && part->gather == NULL) err = gather_new(&part->gather);
        if (err == OK) err = gather_begin(part->gather, build->flume, build->slots, from, part->end);
        build->next_from = err == OK ? part->end : build->bound;
        failure_set(&part->failure, err);
    }
    (void)pthread_mutex_unlock(&build->cut_lock);
    return part;
}

static void part_give(struct flume_build *build, struct build_part *part)
{
    (void)pthread_mutex_lock(&build->lock);
    part->state = PART_FULL;
    (void)pthread_mutex_unlock(&build->lock);
    flume_wake(build->flume);
}

/* Waits until the indexer gives the part back to go on with it: false = the build was stopped. */
static bool part_await(struct flume_build *build, const struct build_part *part)
{
    (void)pthread_mutex_lock(&build->lock);
    while (!atomic_load(&build->stop) && part->state == PART_FULL)
        (void)pthread_cond_wait(&build->moved, &build->lock);
    (void)pthread_mutex_unlock(&build->lock);
    return !atomic_load(&build->stop);
}

static void part_fill(struct flume_build *build, struct build_part *part, const struct gather_limits *limits)
{
    int err = gather_run(part->gather, build->log, limits);
    failure_set(&part->failure, err);
    part->log_is_bad = part->gather->log_is_bad;
}

static void *build_run(void *arg)
{
    struct flume_build *build = arg;
    const struct gather_limits limits = {
        .records = UINT64_MAX, .bytes = INT64_MAX, .memory = build->part_memory, .ms = PART_MS, .stop = &build->stop
    };
    for (struct build_part *part; (part = build_next(build)) != NULL;) {
        bool more = true;
        while (more) {
            if (part->failure.err == OK) part_fill(build, part, &limits);
            more = part->failure.err == OK && part->gather->reached != part->end;
            part_give(build, part);
            more = more && part_await(build, part);
        }
    }
    return NULL;
}

/* ---- the indexer ------------------------------------------------------------------------------------------------------ */

static void build_free(struct flume_build *build)
{
    for (size_t i = 0; i < PARTS_MAX; i++)
        gather_free(build->parts[i].gather);
    (void)pthread_mutex_destroy(&build->cut_lock);
    (void)pthread_mutex_destroy(&build->lock);
    (void)pthread_cond_destroy(&build->moved);
    free(build);
}

void build_cancel(struct flume *flume)
{
    struct flume_build *build = flume->build;
    if (build == NULL) return;
    (void)pthread_mutex_lock(&build->lock);
    atomic_store(&build->stop, true);
    (void)pthread_cond_broadcast(&build->moved);
    (void)pthread_mutex_unlock(&build->lock);
    for (size_t i = 0; i < build->worker_count; i++)
        (void)pthread_join(build->workers[i], NULL);
    build_free(build);
    flume->build = NULL;
    flume->build_slot = 0;
}

static struct flume_build *build_new(struct flume *flume, const bool slots[VIEWS_MAX], int64_t from, int64_t bound,
                                     int64_t head)
{
    struct flume_build *build = calloc(1, sizeof *build);
    if (build == NULL) return NULL;
    bool shared = false;
    for (size_t i = 0; i < flume->slot_count; i++) {
        build->slots[i] = slots[i];
        build->live[i] = !slots[i] && flume->slots[i].state.since >= head;
        shared = shared || build->live[i];
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    build->worker_count = processors < 1 ? 1 : processors > WORKERS_MAX ? WORKERS_MAX : (size_t)processors;
    build->part_memory = BUILD_MEMORY / (build->worker_count + 1);
    build->part_records = flume->options.gather_max > 0 ? flume->options.gather_max : UINT64_MAX;
    build->part_bytes = shared ? PART_BYTES_SHARED : PART_BYTES;
    build->flume = flume;
    build->log = atomic_load(&flume->log);
    build->next_from = from;
    build->bound = bound;
    (void)pthread_mutex_init(&build->cut_lock, NULL);
    (void)pthread_mutex_init(&build->lock, NULL);
    (void)pthread_cond_init(&build->moved, NULL);
    return build;
}

int build_start(struct flume *flume, const bool slots[VIEWS_MAX], int64_t from, int64_t bound, int64_t head)
{
    struct flume_build *build = build_new(flume, slots, from, bound, head);
    if (build == NULL) return err_set(ERR_NOMEM, "no memory to build the views");
    size_t wanted = build->worker_count;
    flume->build = build;
    flume->build_slot = 0;
    /* A worker may look at worker_count at once: fewer threads than parts for them do no harm. */
    size_t made = 0;
    while (made < wanted && pthread_create(&build->workers[made], NULL, build_run, build) == 0)
        made++;
    if (made == wanted) return OK;
    if (made > 0) {
        (void)pthread_mutex_lock(&build->lock);
        build->worker_count = made;
        (void)pthread_mutex_unlock(&build->lock);
        return OK;
    }
    build->worker_count = 0;
    build_cancel(flume);
    flume->build_refused = true; /* then the indexer does it alone */
    return OK;
}

bool build_possible(const struct flume *flume)
{
    return flume->build == NULL && !flume->build_refused && !atomic_load(&flume->closing);
}

bool build_takes(const struct flume *flume, size_t slot)
{
    return flume->build != NULL && flume->build->slots[slot];
}

bool build_holds(const struct flume *flume, size_t slot)
{
    return flume->build != NULL && !flume->build->live[slot];
}

bool build_fits(const struct flume *flume)
{
    return flume->build->log == atomic_load(&flume->log);
}

/* The full part whose turn it is, or NULL. Under lock. */
static struct build_part *build_turn(struct flume_build *build)
{
    for (size_t i = 0; i < PARTS_MAX; i++) {
        struct build_part *part = &build->parts[i];
        if (part->state == PART_FULL && part->order == build->write_order) return part;
    }
    return NULL;
}

int build_part(struct flume *flume, struct flume_gather **ret_gather, bool *ret_log_is_bad)
{
    struct flume_build *build = flume->build;
    (void)pthread_mutex_lock(&build->lock);
    const struct build_part *part = build_turn(build);
    (void)pthread_mutex_unlock(&build->lock);
    if (part == NULL) return 0;
    *ret_gather = part->gather;
    *ret_log_is_bad = part->log_is_bad;
    return part->failure.err == OK ? 1 : err_set(part->failure.err, "%s", part->failure.text);
}

void build_part_done(struct flume *flume)
{
    struct flume_build *build = flume->build;
    (void)pthread_mutex_lock(&build->lock);
    struct build_part *part = build_turn(build);
    bool ends = part->gather->reached == part->end, over = ends && part->end == build->bound;
    gather_clear(part->gather);
    part->state = ends ? PART_FREE : PART_FILLING;
    if (ends) build->write_order++;
    (void)pthread_cond_broadcast(&build->moved);
    (void)pthread_mutex_unlock(&build->lock);
    flume->build_slot = 0;
    if (over) build_cancel(flume);
}
