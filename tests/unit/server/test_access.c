#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/access.h"

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
