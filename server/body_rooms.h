/* Where large bodies lie while they come: memory that never moves as it fills, and that the next body finds as the last one left it. A buffer that grows is
 * copied, and its pages are given to it and taken away again, a millisecond at a time, by the thread that others wait for. Any thread. */
#ifndef SERVER_BODY_ROOMS_H
#define SERVER_BODY_ROOMS_H

#include "store/buf.h"

#define BODY_ROOMS_KEPT 4                    /* rooms that wait for the next large body */
#define BODY_ROOM_KEEP_MAX ((size_t)8 << 20) /* a body that was larger leaves none behind */
#define BODY_ROOM_FROM ((size_t)64 << 10)    /* bodies up to here lie in a buffer of their own */

struct body_rooms;
int body_rooms_open(size_t size, struct body_rooms **ret_rooms); /* `size`: of the largest body, in bytes */
void body_rooms_free(struct body_rooms *rooms);                  /* no room is taken; NULL is fine */

/* Appends; what would be larger than BODY_ROOM_FROM moves into a room, if there is memory for one, and body->lent is true from then on. As
 * buf_append in all else. */
int body_rooms_append(struct body_rooms *rooms, struct buf *body, const char *data, size_t len);

/* As buf_free; the room is kept for the next body, or given back to the system. */
void body_rooms_drop(struct body_rooms *rooms, struct buf *body);

/* Gives back the rooms that nobody has taken since the last call. */
void body_rooms_trim(struct body_rooms *rooms);
size_t body_rooms_kept(struct body_rooms *rooms);

#endif
