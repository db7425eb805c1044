/* Connections that are counted, and ended when they wait too long. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/gate.h"
#include "store/err.h"

static int enter4(struct gate *gate, int fd, const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    cr_assert_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return gate_enter(gate, fd, (const struct sockaddr *)&address, false);
}

static int enter6(struct gate *gate, int fd, const char *text)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
    cr_assert_eq(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    return gate_enter(gate, fd, (const struct sockaddr *)&address, true);
}

Test(gate, counts_by_address_and_for_all)
{
    struct metrics metrics = { 0 };
    struct gate *gate = NULL;
    const struct config limits = { .connections_max = 5, .connections_per_address = 2 };
    cr_assert_eq(gate_open(&limits, &metrics, &gate), OK);
    cr_expect_eq(enter4(gate, 3, "10.0.0.1"), OK);
    cr_expect_eq(enter6(gate, 400, "::ffff:10.0.0.1"), OK);
    cr_expect_eq(enter4(gate, 5, "10.0.0.1"), ERR_LIMIT);
    cr_expect_eq(enter6(gate, 6, "2001:db8::1"), OK);
    cr_expect_eq(enter6(gate, 7, "2001:db8::2"), OK);
    cr_expect_eq(enter6(gate, 8, "2001:db8::3"), ERR_LIMIT);
    cr_expect_eq(enter4(gate, 9, "10.0.0.2"), OK);
    cr_expect_eq(enter4(gate, 10, "10.0.0.3"), ERR_QUEUE);
    cr_expect_eq(metrics.connections, 5);
    cr_expect_eq(metrics.connections_refused, 3);
    cr_expect(gate_loopback(gate, 400) && !gate_loopback(gate, 3) && !gate_loopback(gate, 10));
    gate_leave(gate, 3);
    gate_leave(gate, 3);
    gate_leave(gate, 12345);
    cr_expect_eq(metrics.connections, 4);
    cr_expect_eq(enter4(gate, 3, "10.0.0.1"), OK);
    cr_expect_eq(enter4(gate, 3, "10.0.0.1"), OK, "a number that is given again has left before");
    cr_expect_eq(metrics.connections, 5);
    struct gate_place old = gate_place_of(gate, 3), none = gate_place_of(gate, 77), nowhere = gate_place_of(NULL, 3);
    cr_expect_eq(enter4(gate, 3, "10.0.0.9"), OK);
    gate_place_leave(&old);
    gate_place_leave(&none);
    gate_place_leave(&nowhere);
    cr_expect_eq(metrics.connections, 5, "a late leave must not end who has the number now");
    struct gate_place place = gate_place_of(gate, 3);
    gate_place_leave(&place);
    gate_place_leave(&place);
    cr_expect_eq(metrics.connections, 4);
    gate_free(gate);
}

Test(gate, an_address_has_its_share_of_the_queries)
{
    struct metrics metrics = { 0 };
    struct gate *gate = NULL;
    const struct config limits = { .connections_max = 9, .connections_per_address = 9, .queries_per_address = 2 };
    struct gate_query first = { 0 }, second = { 0 }, other = { 0 }, none = { 0 };
    cr_assert_eq(gate_open(&limits, &metrics, &gate), OK);
    cr_assert(enter4(gate, 3, "10.0.0.1") == OK && enter6(gate, 4, "::ffff:10.0.0.1") == OK);
    cr_assert(enter4(gate, 5, "10.0.0.1") == OK && enter4(gate, 6, "10.0.0.2") == OK);
    const struct sockaddr nameless = { .sa_family = AF_UNIX };
    cr_assert_eq(gate_enter(gate, 7, &nameless, true), OK);
    const struct gate_place a = gate_place_of(gate, 3), b = gate_place_of(gate, 4), c = gate_place_of(gate, 5);
    const struct gate_place far = gate_place_of(gate, 6), local = gate_place_of(gate, 7);
    const struct gate_place nowhere = gate_place_of(NULL, 3);
    cr_expect(gate_query_enter(&a, &first) == OK && gate_query_enter(&b, &second) == OK);
    cr_expect_eq(gate_query_enter(&c, &none), ERR_SHARE);
    cr_expect_eq(none.gate, NULL, "untouched by a failure");
    cr_expect_eq(gate_query_enter(&far, &other), OK);
    for (int i = 0; i < 5; i++)
        cr_expect(gate_query_enter(&local, &none) == OK && gate_query_enter(&nowhere, &none) == OK);
    gate_query_leave(&first);
    gate_query_leave(&first);
    cr_expect_eq(gate_query_enter(&c, &first), OK);
    cr_expect_eq(gate_query_enter(&c, &none), ERR_SHARE, "a place was given back twice");
    /* who goes leaves what is looked for on his behalf */
    for (int fd = 3; fd < 6; fd++)
        gate_leave(gate, fd);
    cr_expect_eq(gate_query_enter(&a, &none), OK);
    cr_expect_eq(none.gate, NULL);
    cr_assert_eq(enter4(gate, 8, "10.0.0.1"), OK);
    const struct gate_place again = gate_place_of(gate, 8);
    cr_expect_eq(gate_query_enter(&again, &none), ERR_SHARE);
    gate_query_leave(&second);
    cr_expect_eq(gate_query_enter(&again, &second), OK);
    gate_leave(gate, 8);
    gate_query_leave(&second);
    gate_query_leave(&first);
    gate_query_leave(&other);
    gate_free(gate);
}

/* Is the other end of the pair still open? */
static bool open_still(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0;
}

Test(gate, sweeps_out_only_what_waits_too_long)
{
    struct metrics metrics = { 0 };
    struct gate *gate = NULL;
    const struct config limits = { .connections_max = 5, .connections_per_address = 5 };
    int late[2], early[2], busy[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, late), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, early), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, busy), 0);
    cr_assert_eq(gate_open(&limits, &metrics, &gate), OK);
    cr_assert(enter4(gate, late[0], "10.0.0.1") == OK && enter4(gate, early[0], "10.0.0.1") == OK &&
              enter4(gate, busy[0], "10.0.0.1") == OK);
    struct gate_times of_late = { 100, 0 }, of_early = { 200, 0 }, of_busy = { 100, 0 }, of_stranger = { 1, 0 };
    gate_watch(gate, late[0], &of_late);
    gate_watch(gate, early[0], &of_early);
    gate_watch(gate, busy[0], &of_busy);
    gate_watch(gate, 12345, &of_stranger);
    of_busy.waiting_ms = 0;
    gate_sweep(gate, 1100, 1000);
    cr_expect(open_still(late[1]));
    gate_sweep(gate, 1101, 1000);
    cr_expect(!open_still(late[1]) && open_still(early[1]) && open_still(busy[1]));
    cr_expect(of_late.waiting_ms == 0 && of_stranger.waiting_ms == 1);
    gate_leave(gate, early[0]);
    gate_sweep(gate, 1300, 1000);
    cr_expect(open_still(early[1]), "who has left is nobody's business");
    cr_expect_eq(metrics.connections, 2);
    gate_free(gate);
    for (int i = 0; i < 2; i++) {
        (void)close(late[i]);
        (void)close(early[i]);
        (void)close(busy[i]);
    }
}

/* Who reads by edges: how many bytes there were, and whether another event came. */
static size_t read_all(int fd, int epoll, bool *ret_event)
{
    struct epoll_event event;
    char bytes[64];
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    *ret_event = epoll_wait(epoll, &event, 1, 0) == 1;
    return got > 0 ? (size_t)got : 0;
}

Test(gate, an_end_that_came_with_the_last_bytes_is_told_again_in_whichever_sweep)
{
    struct metrics metrics = { 0 };
    struct gate *gate = NULL;
    const struct config limits = { .connections_max = 5, .connections_per_address = 5 };
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    struct gate_times times = { 100, 0 };
    int pair[2], epoll = epoll_create1(0);
    bool told = false;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert_eq(gate_open(&limits, &metrics, &gate), OK);
    cr_assert_eq(enter4(gate, pair[0], "10.0.0.1"), OK);
    gate_watch(gate, pair[0], &times);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event), 0);
    gate_sweep(gate, 200, 1000);
    cr_assert(send(pair[1], "GET", 3, 0) == 3 && shutdown(pair[1], SHUT_WR) == 0);
    cr_assert_eq(epoll_wait(epoll, &event, 1, 0), 1);
    gate_sweep(gate, 300, 1000);
    cr_expect_eq(epoll_wait(epoll, &event, 1, 0), 0, "what was sent is read first");
    cr_expect_eq(read_all(pair[0], epoll, &told), 3);
    cr_expect(!told);
    gate_sweep(gate, 400, 1000);
    cr_expect_eq(read_all(pair[0], epoll, &told), 0);
    cr_expect(told, "the end");
    gate_sweep(gate, 500, 1000);
    cr_expect_eq(epoll_wait(epoll, &event, 1, 0), 0, "once is enough");
    gate_leave(gate, pair[0]);
    gate_free(gate);
    (void)close(epoll);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* What was told: the status, 0 = nothing. `end`: and then nothing more comes. */
static int told(int fd, bool *ret_end)
{
    char text[4096] = "", byte;
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    *ret_end = recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
    return got > 12 ? (int)strtol(text + 9, NULL, 10) : 0;
}

Test(gate, tells_whose_body_is_late_and_lets_him_read_it)
{
    struct metrics metrics = { 0 };
    struct gate *gate = NULL;
    const struct config limits = { .connections_max = 5, .connections_per_address = 5 };
    int pair[2];
    bool end;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_assert_eq(gate_open(&limits, &metrics, &gate), OK);
    cr_assert_eq(enter4(gate, pair[0], "10.0.0.1"), OK);
    struct gate_times times = { 0, 5000 };
    gate_watch(gate, pair[0], &times);
    gate_sweep(gate, 5000, 1000);
    cr_expect(told(pair[1], &end) == 0 && !end);
    gate_sweep(gate, 5001, 1000);
    cr_expect_eq(told(pair[1], &end), 408);
    cr_expect(end, "nothing follows");
    cr_expect_not(gate_body_over(&times), "an answer would be a second one");
    cr_expect_not(gate_tell(&times, pair[0], 5002, "too-large", "too late"));
    /* what he still sends is read, for a while */
    cr_expect_eq(send(pair[1], "x", 1, MSG_NOSIGNAL), 1);
    gate_sweep(gate, 7001, 1000);
    cr_expect_eq(send(pair[1], "x", 1, MSG_NOSIGNAL), 1);
    gate_sweep(gate, 7002, 1000);
    cr_expect_eq(send(pair[1], "x", 1, MSG_NOSIGNAL), -1);
    gate_free(gate);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

Test(gate, a_body_that_is_there_is_not_late)
{
    struct gate_times times = { 0, 5000 };
    int pair[2];
    bool end;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_expect(gate_body_over(&times));
    cr_expect_eq(times.body_until_ms, 0);
    cr_expect_not(gate_tell(&times, pair[0], 9000, "timeout", "too late"));
    cr_expect(told(pair[1], &end) == 0 && !end);
    cr_expect(gate_body_over(&times), "that there is none is fine");
    (void)close(pair[0]);
    (void)close(pair[1]);
}
