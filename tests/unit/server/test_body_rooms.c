#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "server/body_rooms.h"
#include "store/err.h"

#define SIZE ((size_t)300 << 10) /* no multiple of what is given back at once */

static struct body_rooms *rooms_of(size_t size)
{
    struct body_rooms *rooms = NULL;
    cr_assert_eq(body_rooms_open(size, &rooms), OK);
    return rooms;
}

static char byte_at(size_t i, unsigned seed)
{
    return (char)(i * 31 + i / 977 + seed);
}

/* `len` bytes in pieces of `piece`. */
static void fill(struct body_rooms *rooms, struct buf *body, size_t len, size_t piece, unsigned seed)
{
    char *data = malloc(piece);
    for (size_t at = 0; at < len;) {
        size_t n = len - at < piece ? len - at : piece;
        for (size_t i = 0; i < n; i++)
            data[i] = byte_at(at + i, seed);
        cr_assert_eq(body_rooms_append(rooms, body, data, n), OK);
        at += n;
    }
    free(data);
}

static void is_whole(const struct buf *body, size_t len, unsigned seed)
{
    cr_assert_eq(body->len, len);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(body->data[i], byte_at(i, seed), "byte %zu of %zu", i, len);
}

Test(body_rooms, bodies_arrive_whole_whatever_their_pieces)
{
    static const size_t pieces[] = { 1, 999, 16384, BODY_ROOM_FROM, BODY_ROOM_FROM + 1, SIZE };
    static const size_t lengths[] = { 1, BODY_ROOM_FROM - 1, BODY_ROOM_FROM, BODY_ROOM_FROM + 1, SIZE };
    struct body_rooms *rooms = rooms_of(SIZE);
    for (unsigned i = 0; i < 30; i++) {
        size_t len = lengths[i % 5];
        struct buf body;
        buf_init(&body, SIZE);
        fill(rooms, &body, len, pieces[i / 5], i);
        is_whole(&body, len, i);
        cr_assert_eq(body.lent, len > BODY_ROOM_FROM, "%zu bytes", len);
        body_rooms_drop(rooms, &body);
        cr_assert(body.data == NULL && !body.lent);
    }
    body_rooms_free(rooms);
}

Test(body_rooms, a_large_body_does_not_move)
{
    struct body_rooms *rooms = rooms_of(SIZE);
    struct buf body;
    buf_init(&body, SIZE);
    fill(rooms, &body, BODY_ROOM_FROM + 1, 4096, 1);
    const char *first = body.data;
    while (body.len < SIZE)
        cr_assert_eq(body_rooms_append(rooms, &body, "x", 1), OK);
    cr_assert_eq(body.data, first);
    body_rooms_drop(rooms, &body);
    body_rooms_free(rooms);
}

Test(body_rooms, one_byte_too_many_is_refused_as_by_any_buffer)
{
    struct body_rooms *rooms = rooms_of(SIZE);
    struct buf body;
    buf_init(&body, SIZE);
    fill(rooms, &body, SIZE, 5000, 2);
    cr_assert_eq(body_rooms_append(rooms, &body, "x", 1), ERR_LIMIT);
    cr_assert_eq(body.len, SIZE);
    body_rooms_drop(rooms, &body);
    body_rooms_free(rooms);
}

Test(body_rooms, as_many_are_kept_as_are_said_and_the_unused_go)
{
    struct body_rooms *rooms = rooms_of(SIZE);
    struct buf bodies[BODY_ROOMS_KEPT + 2];
    size_t count = sizeof bodies / sizeof *bodies;
    for (size_t i = 0; i < count; i++) {
        buf_init(&bodies[i], SIZE);
        fill(rooms, &bodies[i], SIZE, 70000, (unsigned)i);
    }
    for (size_t i = 0; i < count; i++) {
        is_whole(&bodies[i], SIZE, (unsigned)i);
        body_rooms_drop(rooms, &bodies[i]);
    }
    cr_assert_eq(body_rooms_kept(rooms), BODY_ROOMS_KEPT);

    body_rooms_trim(rooms); /* all were taken since the rooms were opened */
    cr_assert_eq(body_rooms_kept(rooms), BODY_ROOMS_KEPT);
    fill(rooms, &bodies[0], SIZE, 70000, 9);
    cr_assert_eq(body_rooms_kept(rooms), BODY_ROOMS_KEPT - 1);
    is_whole(&bodies[0], SIZE, 9);
    body_rooms_drop(rooms, &bodies[0]);
    body_rooms_trim(rooms); /* one was in use, and stays */
    cr_assert_eq(body_rooms_kept(rooms), 1);
    body_rooms_trim(rooms);
    cr_assert_eq(body_rooms_kept(rooms), 0);
    body_rooms_free(rooms);
}

Test(body_rooms, a_very_large_body_leaves_no_room_behind)
{
    struct body_rooms *rooms = rooms_of(BODY_ROOM_KEEP_MAX + 1);
    struct buf body;
    buf_init(&body, BODY_ROOM_KEEP_MAX + 1);
    fill(rooms, &body, BODY_ROOM_KEEP_MAX + 1, (size_t)1 << 20, 3);
    body_rooms_drop(rooms, &body);
    cr_assert_eq(body_rooms_kept(rooms), 0);
    body_rooms_free(rooms);
}
