#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/access.h"
#include "server/gate.h"
#include "server/handshake.h"

#define TOKEN "0123456789abcdef0123"

static struct config config;
static struct access *access_now;
static char token_path[64];

static void begin(void)
{
    static char door[] = "127.0.0.1:8990";
    config = (struct config){ .listen = { door }, .listen_count = 1 };
}

static void end(void)
{
    access_free(access_now);
    access_now = NULL;
    if (token_path[0] != '\0') (void)unlink(token_path);
}

TestSuite(access, .init = begin, .fini = end);

static void open_access(void)
{
    cr_assert_eq(access_open(&config, &access_now), OK, "%s", err_detail(ERR_ARG));
}

static void write_tokens(const char *text, mode_t mode)
{
    (void)snprintf(token_path, sizeof token_path, "/tmp/sluice-tokens-%ld", (long)getpid());
    FILE *file = fopen(token_path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    (void)fclose(file);
    (void)chmod(token_path, mode);
    config.token_file = token_path;
}

static struct slice field(const char *text)
{
    return text == NULL ? (struct slice){ NULL, 0 } : (struct slice){ text, strlen(text) };
}

static const char *problem_of(const char *host, const char *origin)
{
    const struct access_request request = {
        .host = field(host), .origin = field(origin), .needs = API_SCOPE_READ, .loopback = true
    };
    struct access_grant grant;
    access_check(access_now, &request, &grant);
    return grant.problem != NULL ? grant.problem : "none";
}

static struct access_grant asked(const char *authorization, bool loopback, unsigned needs)
{
    const struct access_request request = {
        .host = field("localhost"), .authorization = field(authorization), .loopback = loopback, .needs = needs
    };
    struct access_grant grant;
    access_check(access_now, &request, &grant);
    return grant;
}

static struct access_grant with_token(const char *authorization, bool loopback, bool open)
{
    return asked(authorization, loopback, open ? 0 : API_SCOPE_READ);
}

/* The problem of a request that needs these scopes, "none" if it is let in. */
static const char *scoped(const char *authorization, unsigned needs)
{
    struct access_grant grant = asked(authorization, false, needs);
    return grant.problem != NULL ? grant.problem : "none";
}

/* What an <img> of that page gets. */
static bool embeds(const char *origin, const char *referer)
{
    const struct access_request request = { .host = field("localhost"),
                                            .origin = field(origin),
                                            .referer = field(referer),
                                            .needs = API_SCOPE_READ,
                                            .loopback = true };
    struct access_grant grant;
    access_check(access_now, &request, &grant);
    return grant.may_embed;
}

Test(access, pictures_are_for_pages_on_the_list)
{
    static char listed[] = "https://app.example/";
    config.allow_origin[config.allow_origin_count++] = listed;
    open_access();
    cr_expect(embeds(NULL, "https://app.example"));
    cr_expect(embeds(NULL, "https://APP.example/page"));
    cr_expect(embeds(NULL, "https://app.example?x"));
    cr_expect(embeds(NULL, "https://app.example#x"));
    static const char *const others[] = { "",
                                          "https:",
                                          "://",
                                          "https://",
                                          "https://app.example.evil",
                                          "http://app.example/",
                                          "https://a@app.example/",
                                          "x",
                                          "https://localhost/https://app.example/" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_not(embeds(NULL, others[i]), "%s", others[i]);
    cr_expect_not(embeds(NULL, NULL));
    cr_expect_not(embeds("https://evil.example", "https://app.example/"), "what is refused shows nothing");
    write_tokens(TOKEN "\n", 0600);
    access_free(access_now);
    open_access();
    cr_expect_not(embeds(NULL, "https://app.example/"), "no picture without a token");
}

Test(access, names_of_ours)
{
    static const char *const ours[] = { "localhost",    "localhost:1",     "LOCALHOST:99", "localhost.",
                                        "127.0.0.1",    "127.9.9.9:80",    "[::1]:8990",   "[::1]",
                                        "node.example", "Node.Example:443" };
    static const char *const foreign[] = { "",
                                           "evil.example",
                                           "localhost.evil.example",
                                           "evil.example:8990",
                                           "192.168.1.5",
                                           "[::2]",
                                           "localhost:",
                                           "localhost:x",
                                           "localhost@evil",
                                           "::1",
                                           "[::1",
                                           "128.0.0.1",
                                           "127.0.0.1.evil.example",
                                           "localhost localhost" };
    static char name[] = "node.example";
    config.allow_host[config.allow_host_count++] = name;
    open_access();
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        cr_expect_str_eq(problem_of(ours[i], NULL), "none", "%s", ours[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        cr_expect_str_eq(problem_of(foreign[i], NULL), "foreign-host", "%s", foreign[i]);
    cr_expect_str_eq(problem_of(NULL, NULL), "none");
}

Test(access, a_door_on_all_addresses_goes_by_every_address_but_by_no_name)
{
    static char door[] = "0.0.0.0:8990";
    config.listen[0] = door;
    config.public_read = true;
    open_access();
    cr_expect_str_eq(problem_of("192.168.1.5:8990", NULL), "none");
    cr_expect_str_eq(problem_of("[fe80::1]", NULL), "none");
    cr_expect_str_eq(problem_of("rebound.example", NULL), "foreign-host");
}

Test(access, pages_of_other_origins_are_refused)
{
    static char listed[] = "https://app.example/";
    config.allow_origin[config.allow_origin_count++] = listed;
    open_access();
    cr_expect_str_eq(problem_of("localhost:8990", "http://localhost:8990"), "none");
    cr_expect_str_eq(problem_of("localhost", "http://localhost:80"), "none");
    cr_expect_str_eq(problem_of("localhost", "https://localhost:443"), "none");
    cr_expect_str_eq(problem_of("localhost:8990", "http://localhost:3000"), "foreign-origin");
    cr_expect_str_eq(problem_of("localhost:8990", "http://127.0.0.1:8990"), "foreign-origin");
    cr_expect_str_eq(problem_of("localhost:8990", "null"), "foreign-origin");
    cr_expect_str_eq(problem_of("localhost:8990", ""), "foreign-origin");
    cr_expect_str_eq(problem_of("localhost:8990", "http://evil.example"), "foreign-origin");
    cr_expect_str_eq(problem_of("localhost:8990", "https://app.example"), "none");
}

Test(access, a_loopback_client_may_do_all_when_nothing_is_said)
{
    open_access();
    cr_expect(!with_token(NULL, true, false).public_only);
    cr_expect(with_token(NULL, true, false).may_append);
    cr_expect_str_eq(with_token(NULL, false, false).problem, "token-needed");
}

Test(access, a_token_file_asks_everybody_for_a_token)
{
    write_tokens("# ours\n\n  " TOKEN "  \nanother-token-of-ours\n", 0600);
    open_access();
    cr_expect_str_eq(with_token(NULL, true, false).problem, "token-needed");
    cr_expect_str_eq(with_token("Bearer 0123456789abcdef0124", true, false).problem, "token-needed");
    cr_expect_str_eq(with_token("Bearer 0123456789abcdef012", true, false).problem, "token-needed");
    cr_expect_str_eq(with_token("Bearer # ours", true, false).problem, "token-needed");
    cr_expect_str_eq(with_token("Basic " TOKEN, true, false).problem, "token-needed");
    cr_expect_null(with_token("Bearer " TOKEN, false, false).problem);
    cr_expect(with_token("bearer another-token-of-ours", false, false).may_append);
    struct access_grant open = with_token(NULL, false, true);
    cr_expect(open.problem == NULL && open.public_only && !open.may_append);
}

Test(access, public_lets_everybody_read_what_is_public)
{
    write_tokens(TOKEN "\n", 0600);
    config.public_read = true;
    open_access();
    struct access_grant grant = with_token(NULL, false, false);
    cr_expect(grant.problem == NULL && grant.public_only && !grant.may_append);
    grant = with_token("Bearer " TOKEN, false, false);
    cr_expect(grant.problem == NULL && !grant.public_only && grant.may_append);
    cr_expect_str_eq(with_token("Bearer 0123456789abcdef0124", false, false).problem, "token-needed");
}

Test(access, public_without_tokens_gives_nobody_more)
{
    config.public_read = true;
    open_access();
    cr_expect(with_token(NULL, true, false).public_only, "a proxy comes by loopback, too");
    cr_expect(!with_token(NULL, true, false).may_append);
}

#define READER "the-token-of-a-reader"
#define WRITER "the-token-of-a-writer"

Test(access, a_token_is_good_for_its_scopes_only)
{
    write_tokens("# who may what\n" TOKEN "\n" READER " \tread  # a page\n\t" WRITER " append\n"
                 "the-token-of-somebody append read #\n",
                 0600);
    open_access();
    static const struct {
        const char *authorization, *read, *append, *both;
    } cases[] = {
        { "Bearer " TOKEN, "none", "none", "none" },
        { "Bearer the-token-of-somebody", "none", "none", "none" },
        { "Bearer " READER, "none", "forbidden", "forbidden" },
        { "Bearer " WRITER, "forbidden", "none", "forbidden" },
        { "Bearer " READER " read", "token-needed", "token-needed", "token-needed" },
        { NULL, "token-needed", "token-needed", "token-needed" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *authorization = cases[i].authorization;
        cr_expect_str_eq(scoped(authorization, API_SCOPE_READ), cases[i].read, "%s", authorization);
        cr_expect_str_eq(scoped(authorization, API_SCOPE_APPEND), cases[i].append, "%s", authorization);
        cr_expect_str_eq(scoped(authorization, API_SCOPES_BOTH), cases[i].both, "%s", authorization);
        cr_expect_str_eq(scoped(authorization, 0), "none", "%s", authorization);
    }
    cr_expect(!asked("Bearer " READER, false, API_SCOPE_READ).may_append);
    cr_expect(asked("Bearer " READER, false, API_SCOPE_APPEND).short_token);
    cr_expect(asked("Bearer " WRITER, false, 0).public_only, "who may not read sees nothing that is hidden");
}

Test(access, private_and_publish_have_to_be_named)
{
    static const struct {
        const char *token, *scopes;
        unsigned has;
    } cases[] = {
        { "a-token-that-names-none", "", API_SCOPES_BOTH },
        { "a-token-that-reads-only", "read", API_SCOPE_READ },
        { "a-token-of-two-of-them.", "append read", API_SCOPES_BOTH },
        { "a-token-for-private-ones", "private", API_SCOPE_READ | API_SCOPE_PRIVATE },
        { "a-token-that-publishes..", "publish", API_SCOPE_PUBLISH },
        { "a-token-of-a-frontend...", "private publish", API_SCOPE_READ | API_SCOPE_PRIVATE | API_SCOPE_PUBLISH },
        { "a-token-of-everything...", "read append private publish",
          API_SCOPES_BOTH | API_SCOPE_PRIVATE | API_SCOPE_PUBLISH },
    };
    char text[1024] = "";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s %s\n", cases[i].token, cases[i].scopes);
    write_tokens(text, 0600);
    open_access();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char authorization[64];
        (void)snprintf(authorization, sizeof authorization, "Bearer %s", cases[i].token);
        for (unsigned needs = 1; needs < 16; needs++)
            cr_expect_str_eq(scoped(authorization, needs), (needs & ~cases[i].has) == 0 ? "none" : "forbidden",
                             "%s, %u", cases[i].token, needs);
        struct access_grant grant = asked(authorization, false, 0);
        cr_expect_eq(grant.may_private, (cases[i].has & API_SCOPE_PRIVATE) != 0);
        cr_expect_eq(grant.may_publish, (cases[i].has & API_SCOPE_PUBLISH) != 0);
        cr_expect_eq(grant.may_append, (cases[i].has & API_SCOPE_APPEND) != 0);
        cr_expect_not(grant.may_private && grant.public_only);
    }
    for (unsigned needs = 1; needs < 16; needs++)
        cr_expect_str_eq(scoped(NULL, needs), "token-needed");
}

Test(access, without_tokens_nobody_sees_what_is_private_or_publishes)
{
    for (int open = 0; open < 2; open++) {
        config.public_read = open == 1;
        open_access();
        struct access_grant grant = asked(NULL, true, API_SCOPE_READ);
        cr_expect(grant.problem == NULL && !grant.may_private && !grant.may_publish);
        cr_expect_str_eq(asked(NULL, true, API_SCOPE_READ | API_SCOPE_PRIVATE).problem, "forbidden");
        cr_expect_str_eq(asked(NULL, true, API_SCOPE_PUBLISH).problem, "forbidden");
        cr_expect_not_null(strstr(asked(NULL, true, API_SCOPE_PUBLISH).detail, "--token-file"));
        access_free(access_now);
        access_now = NULL;
    }
}

Test(access, the_missing_scope_is_named)
{
    write_tokens("a-token-that-names-none\n" WRITER " append\n", 0600);
    open_access();
    cr_expect_not_null(
        strstr(asked("Bearer a-token-that-names-none", false, API_SCOPE_PUBLISH).detail, "scope publish"));
    cr_expect_not_null(strstr(asked("Bearer a-token-that-names-none", false, API_SCOPE_READ | API_SCOPE_PRIVATE).detail,
                              "scope private"));
    cr_expect_not_null(strstr(asked("Bearer " WRITER, false, API_SCOPE_READ).detail, "scope read"));
}

Test(access, under_public_a_token_without_the_scope_read_reads_what_everybody_may)
{
    write_tokens(WRITER " append\n" READER " read\n", 0600);
    config.public_read = true;
    open_access();
    struct access_grant grant = asked("Bearer " WRITER, false, API_SCOPE_READ);
    cr_expect(grant.problem == NULL && grant.public_only && grant.may_append);
    grant = asked("Bearer " READER, false, API_SCOPE_READ);
    cr_expect(grant.problem == NULL && !grant.public_only && !grant.may_append);
    cr_expect_str_eq(scoped("Bearer " READER, API_SCOPE_APPEND), "forbidden");
    cr_expect_str_eq(scoped(NULL, API_SCOPE_APPEND), "token-needed");
    cr_expect_str_eq(scoped("Bearer no-such-token-at-all", API_SCOPE_READ), "token-needed");
}

Test(access, a_browser_puts_its_token_among_the_protocols_of_a_socket)
{
    write_tokens(TOKEN "\n", 0600);
    open_access();
    static const struct {
        const char *authorization, *protocols, *problem;
    } cases[] = {
        { NULL, "sluice, bearer." TOKEN, "none" },
        { NULL, "bearer." TOKEN, "none" },
        { NULL, "sluice,bearer." TOKEN ",more", "none" },
        { NULL, "sluice", "token-needed" },
        { NULL, "bearer.", "token-needed" },
        { NULL, "Bearer." TOKEN, "token-needed" },
        { NULL, "x-bearer." TOKEN, "token-needed" },
        { NULL, "sluice, bearer.0123456789abcdef0124", "token-needed" },
        { "Bearer wrong-token-of-nobody", "sluice, bearer." TOKEN, "token-needed" },
        { "Basic x", "sluice, bearer." TOKEN, "token-needed" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct access_request request = {
            .host = field("localhost"),
            .authorization = field(cases[i].authorization),
            .protocols = field(cases[i].protocols),
            .needs = API_SCOPE_READ,
        };
        struct access_grant grant;
        access_check(access_now, &request, &grant);
        cr_expect_str_eq(grant.problem != NULL ? grant.problem : "none", cases[i].problem, "%s", cases[i].protocols);
    }
}

Test(access, a_token_in_a_target_is_refused_whatever_else_is_sent)
{
    static const char *const bad[] = { "/log?token=x",      "/log?limit=1&access_token=x", "/live?Token",
                                       "/?a=b&&BEARER=1&c", "/x?authorization=x",          "/log?auth_token=" };
    static const char *const good[] = {
        "/log", "/log?", "/log?tokens=x", "/log?type=token", "/token=x", "/log?a=b=token&", ""
    };
    write_tokens(TOKEN "\n", 0600);
    open_access();
    struct access_request request = { .host = field("localhost"), .authorization = field("Bearer " TOKEN) };
    struct access_grant grant;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        request.target = field(bad[i]);
        access_check(access_now, &request, &grant);
        cr_expect_str_eq(grant.problem != NULL ? grant.problem : "none", "token-in-url", "%s", bad[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        request.target = field(good[i]);
        access_check(access_now, &request, &grant);
        cr_expect_null(grant.problem, "%s", good[i]);
    }
}

static int opened(const char *text)
{
    write_tokens(text, 0600);
    int err = access_open(&config, &access_now);
    if (err != OK) cr_expect_null(strstr(err_detail(err), "the-token-of"), "%s", err_detail(err));
    access_free(access_now);
    access_now = NULL;
    return err;
}

Test(access, a_token_file_that_says_something_odd_is_refused_without_telling_it)
{
    cr_expect_eq(opened(READER " reed\n"), ERR_ARG);
    cr_expect_eq(opened(READER " read publishing\n"), ERR_ARG);
    cr_expect_eq(opened(READER " READ\n"), ERR_ARG);
    cr_expect_eq(opened(READER " read,append\n"), ERR_ARG);
    cr_expect_eq(opened(READER " " WRITER "\n"), ERR_ARG);
    cr_expect_eq(opened(READER " read\n" WRITER "\n" READER " append\n"), ERR_ARG);
    cr_expect_eq(opened("the-token-of-\xc3\xa9-reader\n"), ERR_ARG);
    cr_expect_eq(opened(READER "#read\n"), OK, "a comment begins a word");
    cr_expect_eq(opened(READER "\tread\r\n"), OK);
}

Test(access, bad_token_files_are_refused)
{
    write_tokens(TOKEN "\n", 0644);
    cr_expect_eq(access_open(&config, &access_now), ERR_PERM);
    write_tokens("# nothing\n", 0600);
    cr_expect_eq(access_open(&config, &access_now), ERR_ARG);
    write_tokens("short\n", 0600);
    cr_expect_eq(access_open(&config, &access_now), ERR_ARG);
    (void)unlink(token_path);
    cr_expect_eq(access_open(&config, &access_now), ERR_NOFILE);
    cr_expect_null(access_now);
}

/* ---- the gate ---- */

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

/* ---- the handshake ---- */

static bool live(const char *head)
{
    struct handshake handshake;
    /* a copy without a terminator, so that a look past its end shows */
    size_t len = strlen(head);
    char *copy = malloc(len + (len == 0));
    memcpy(copy, head, len);
    bool is_live =
        handshake_end(copy, len) == len && handshake_parse(copy, len, &handshake) && handshake_live(&handshake);
    free(copy);
    return is_live;
}

#define SOCKET "Sec-WebSocket-Version: 13\r\n\r\n"

Test(handshake, only_a_plain_handshake_for_live_is_one)
{
    cr_expect(live("GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(live("GET /live?gt=1 HTTP/1.1\r\nhost:a\r\nupgrade: h2c, WebSocket\r\nconnection: keep-alive, "
                   "upgrade\r\nX: y\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /lively HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("POST /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /live HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
    cr_expect(!live("GET /live x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET));
}

Test(handshake, what_two_parsers_could_read_differently_is_none)
{
#define REST "Upgrade: websocket\r\nConnection: Upgrade\r\n" SOCKET
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nOrigin: b\r\norigin: c\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\n folded\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost : a\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nno colon\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nX: \x01\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\nX: b\nOrigin: c\r\n" REST));
    cr_expect(!live("GET /live HTTP/1.1\r\nHost: a\r\n: b\r\n" REST));
    cr_expect(!live("\r\n\r\n"));
    cr_expect(!live(""));
#undef REST
}

/* "" = the head is good. */
static const char *fault(const char *head)
{
    struct handshake handshake;
    size_t len = strlen(head);
    char *copy = malloc(len + (len == 0));
    memcpy(copy, head, len);
    const struct handshake_fault *found = handshake_judge(copy, len, &handshake);
    free(copy);
    return found == NULL ? "" : found->problem;
}

static void expect_fault(const char *head, const char *problem)
{
    cr_expect_str_eq(fault(head), problem, "%s", head);
}

Test(handshake, a_head_that_everybody_reads_the_same_way_is_good)
{
    expect_fault("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
    expect_fault("GET / HTTP/1.0\r\n\r\n", "");
    expect_fault("POST / HTTP/1.9\r\nHost: [::1]:80\r\nContent-Length: 12\r\n\r\n", "");
    expect_fault("POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: Chunked\r\nX: \xff\t\r\n\r\n", "");
    expect_fault("GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\r\nX: b\r\n\r\n", "");
}

Test(handshake, a_head_that_can_be_read_two_ways_is_refused)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET\r\n\r\n",
        "\r\n\r\n",
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_fault(bad[i], "bad-request");
    expect_fault("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "wrong-version");
    expect_fault("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000000\r\n\r\n", "too-large");
}

Test(handshake, a_key_and_no_body_are_wanted_for_a_socket)
{
#define LIVE                                                                         \
    "GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    static const char *const heads[] = {
        LIVE KEY "\r\n",
        LIVE KEY "Content-Length: 0\r\n\r\n",
        LIVE "\r\n",
        LIVE "Sec-WebSocket-Key:\r\n\r\n",
        LIVE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n",
        LIVE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n\r\n",
        LIVE "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n",
        LIVE KEY "Content-Length: 1\r\n\r\n",
        LIVE KEY "Transfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct handshake handshake;
        cr_assert_null(handshake_judge(heads[i], strlen(heads[i]), &handshake), "%s", heads[i]);
        cr_expect(handshake_live(&handshake));
        cr_expect_eq(handshake_live_judge(&handshake) == NULL, i < 2, "%s", heads[i]);
    }
    expect_fault(LIVE KEY KEY "\r\n", "bad-request");
#undef KEY
#undef LIVE
}

Test(handshake, fields_parameters_and_cookies_are_counted)
{
    char head[2000];
    size_t len = (size_t)sprintf(head, "GET /?a&b HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\n");
    for (int i = 0; i < 96; i++) /* one parameter more, one cookie more, two fields */
        len += (size_t)sprintf(head + len, "X: y\r\n");
    strcpy(head + len, "\r\n");
    expect_fault(head, "");
    strcpy(head + len, "X: y\r\n\r\n");
    expect_fault(head, "headers-too-large");
}

Test(handshake, half_a_head_is_judged_as_far_as_it_goes)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz";
    const size_t len = sizeof head - 1;
    for (size_t i = 1; i < len; i++)
        cr_expect_null(handshake_glance(head, i, i - 1), "%zu", i);
    cr_expect_not_null(handshake_glance(head, len, len - 1), "a bare CR shows with the byte behind it");
    cr_expect_not_null(handshake_glance("GET /\r\n", 7, 0));
    cr_expect_null(handshake_glance("GET /\r", 6, 0));
    cr_expect_eq(handshake_start("\r\nGET", 5), 2);
    cr_expect_eq(handshake_start("\r", 1), 0);
}

Test(access, a_listed_origin_is_all_of_its_name)
{
    static char listed[] = "https://app.example";
    static const char *const others[] = { "https://app.example.evil.example", "https://app.example:444",
                                          "https://app.exampl", "http://app.example", "https://app.example/x" };
    config.allow_origin[config.allow_origin_count++] = listed;
    open_access();
    cr_expect_str_eq(problem_of("localhost", "https://app.example"), "none");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_str_eq(problem_of("localhost", others[i]), "foreign-origin", "%s", others[i]);
}
