#include "server/body_rooms.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "server/step_back.h"
#include "store/err.h"

/* Given back to the system at once: a kernel without preemption lets nobody else onto this processor meanwhile. */
#define RETURN_BYTES ((size_t)256 << 10)

struct body_rooms {
    pthread_mutex_t lock;
    size_t size;
    size_t count;                /* kept */
    size_t idle;                 /* the fewest that were kept since the last trim: nobody needed so many */
    char *kept[BODY_ROOMS_KEPT]; /* the one left last is taken first */
};

int body_rooms_open(size_t size, struct body_rooms **ret_rooms)
{
    struct body_rooms *rooms = calloc(1, sizeof *rooms);
    if (rooms == NULL) return err_set(ERR_NOMEM, "out of memory");
    (void)pthread_mutex_init(&rooms->lock, NULL);
    rooms->size = size;
    *ret_rooms = rooms;
    return OK;
}

static void room_return(const struct body_rooms *rooms, char *room)
{
    for (size_t at = 0; at < rooms->size; at += RETURN_BYTES) {
        (void)munmap(room + at, rooms->size - at < RETURN_BYTES ? rooms->size - at : RETURN_BYTES);
        step_aside();
    }
}

void body_rooms_free(struct body_rooms *rooms)
{
    if (rooms == NULL) return;
    while (rooms->count > 0)
        room_return(rooms, rooms->kept[--rooms->count]);
    (void)pthread_mutex_destroy(&rooms->lock);
    free(rooms);
}

/* NULL = no memory. */
static char *room_take(struct body_rooms *rooms)
{
    char *room = NULL;
    (void)pthread_mutex_lock(&rooms->lock);
    if (rooms->count > 0) room = rooms->kept[--rooms->count];
    if (rooms->idle > rooms->count) rooms->idle = rooms->count;
    (void)pthread_mutex_unlock(&rooms->lock);
    if (room != NULL) return room;
    room = mmap(NULL, rooms->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return NULL;
    /* A body of 100 KiB is not to cost two megabytes, nor the time that it takes to clear them. */
    (void)madvise(room, rooms->size, MADV_NOHUGEPAGE);
    return room;
}

int body_rooms_append(struct body_rooms *rooms, struct buf *body, const char *data, size_t len)
{
    bool moves = !body->lent && body->err == OK && body->len + len > BODY_ROOM_FROM && body->max <= rooms->size;
    char *room = moves ? room_take(rooms) : NULL;
    if (room != NULL) {
        const struct buf small = *body;
        buf_lend(body, room, rooms->size, small.max);
        (void)buf_append(body, small.data, small.len);
        free(small.data);
    }
    return buf_append(body, data, len);
}

void body_rooms_drop(struct body_rooms *rooms, struct buf *body)
{
    char *room = body->lent ? body->data : NULL;
    bool keep = body->len <= BODY_ROOM_KEEP_MAX;
    buf_free(body);
    if (room == NULL) return;
    (void)pthread_mutex_lock(&rooms->lock);
    keep = keep && rooms->count < BODY_ROOMS_KEPT;
    if (keep) rooms->kept[rooms->count++] = room;
    (void)pthread_mutex_unlock(&rooms->lock);
    if (!keep) room_return(rooms, room);
}

void body_rooms_trim(struct body_rooms *rooms)
{
    char *unused[BODY_ROOMS_KEPT];
    (void)pthread_mutex_lock(&rooms->lock);
    size_t count = rooms->idle;
    /* those below were left first */
    memcpy(unused, rooms->kept, count * sizeof *unused);
    memmove(rooms->kept, rooms->kept + count, (rooms->count - count) * sizeof *unused);
    rooms->count -= count;
    rooms->idle = rooms->count;
    (void)pthread_mutex_unlock(&rooms->lock);
    for (size_t i = 0; i < count; i++)
        room_return(rooms, unused[i]);
}

size_t body_rooms_kept(struct body_rooms *rooms)
{
    (void)pthread_mutex_lock(&rooms->lock);
    size_t count = rooms->count;
    (void)pthread_mutex_unlock(&rooms->lock);
    return count;
}
