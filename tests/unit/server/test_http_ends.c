/* How connections come and go: doors, how many there may be, and what becomes of those under way when a server ends. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/flume_kit.h"
#include "tests/unit/server/site.h"

Test(http_limits, connections_of_one_address_are_counted)
{
    http_kit_config(&site);
    site.config.connections_per_address = 3;
    http_kit_start(&site, site_routes);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = http_kit_connect(&site);
        http_kit_send(fds[i], HEAD("GET", "/hello") "\r\n");
        char *answer = http_kit_read(fds[i], "true}", HTTP_KIT_MS);
        cr_expect_eq(http_kit_status(answer), 200);
        free(answer);
    }
    cr_expect_eq(site.server.metrics.connections, 3);
    site_expect_status("", 429);
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    cr_assert(kit_until(site_nobody_is_connected, NULL));
    site_expect_status(HEAD("GET", "/hello") CLOSE, 200);
    cr_expect_eq(site.server.metrics.connections_refused, 1);
    site_stop();
}

Test(http_stop, live_streams_end_properly_and_the_process_lives)
{
    for (int round = 0; round < 5; round++) {
        site_start();
        site_tide = 2;
        int fds[6];
        for (int i = 0; i < 6; i++) {
            fds[i] = http_kit_connect(&site);
            http_kit_send(fds[i], HEAD("GET", "/rows?live=true") NDJSON "\r\n");
            char *text = http_kit_read(fds[i], "{\"n\":1,", HTTP_KIT_MS);
            cr_assert_eq(http_kit_status(text), 200);
            free(text);
        }
        site_stop(); /* gives them far more time than they need: one that took it all would be cut */
        for (int i = 0; i < 6; i++) {
            char *text = http_kit_read(fds[i], NULL, HTTP_KIT_MS);
            cr_expect(strstr(text, "0\r\n\r\n") != NULL, "the stream was cut: %s", text);
            free(text);
            (void)close(fds[i]);
        }
    }
}

static bool somebody_waits(void *ctx)
{
    (void)ctx;
    return atomic_load(&site_waiters) > 0;
}

Test(http_stop, requests_that_wait_are_answered_first)
{
    site_start();
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/wait/after") "\r\n");
    cr_assert(kit_until(somebody_waits, NULL));
    site_stop();
    char *answer = http_kit_read(fd, NULL, HTTP_KIT_MS);
    cr_expect(strstr(answer, "\"waited\"") != NULL, "%s", answer);
    free(answer);
    (void)close(fd);
}

Test(http_stop, a_stream_to_a_client_that_does_not_read_is_cut)
{
    site_start();
    site_tide = 100000;
    int fd = http_kit_connect(&site);
    http_kit_send(fd, HEAD("GET", "/rows?pad=1000") NDJSON "\r\n");
    char *head = http_kit_read(fd, "\r\n\r\n", HTTP_KIT_MS);
    cr_expect_eq(http_kit_status(head), 200);
    free(head);
    site.stop_ms = 100;
    int64_t began = flume_now_ms();
    site_stop();
    cr_expect_lt(flume_now_ms() - began, HTTP_KIT_MS);
    (void)close(fd);
}

Test(http_doors, a_unix_socket_is_a_door_and_leaves_nothing_behind)
{
    http_kit_config(&site);
    char door[100];
    snprintf(door, sizeof door, "unix:/tmp/sluice-door-%ld", (long)getpid());
    site.config.listen[1] = door;
    site.config.listen_count = 2;
    http_kit_start(&site, site_routes);
    cr_expect_eq(access(door + 5, F_OK), 0);
    site_stop();
    cr_expect_neq(access(door + 5, F_OK), 0);
}

Test(http_doors, a_door_to_the_world_needs_a_token_or_public)
{
    http_kit_config(&site);
    static char door[] = "0.0.0.0:0";
    site.config.listen[0] = door;
    site.server.config = &site.config;
    struct listener *listener = NULL;
    cr_expect_eq(listen_open(&site.server, &listener), ERR_PERM);
    cr_expect(strstr(err_detail(ERR_PERM), "--token-file") != NULL);
    cr_expect(strstr(err_detail(ERR_PERM), "--public") != NULL);
    site.config.public_read = true;
    http_kit_start(&site, site_routes);
    site_expect_part(HEAD("GET", "/grant") CLOSE, "public_only=1 may_append=0 may_private=0 may_publish=0");
    site_stop();
}

Test(http_doors, bad_doors_are_errors)
{
    static char bad[][40] = {
        "8990", "localhost", "host:", "host:99999", "host:1x", "[::1:80", "::1:80", "unix:", ":80"
    };
    http_kit_config(&site);
    site.server.config = &site.config;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct listener *listener = NULL;
        site.config.listen[0] = bad[i];
        cr_expect_eq(listen_open(&site.server, &listener), ERR_ARG, "%s", bad[i]);
    }
}
