#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api.h"

#define RAW "+/Ab/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define MESSAGE "%" RAW ".sha256"
#define FEED "@" RAW ".ed25519"
#define BLOB "&" RAW ".sha256"

/* Shows what the handler was given: pattern's letter, path parameters, query. */
static int show(struct api_request *req, struct api_reply *reply, char letter)
{
    buf_putc(&reply->body, letter);
    for (size_t i = 0; i < req->path_param_count; i++)
        buf_printf(&reply->body, "|%.*s", (int)req->path_params[i].value.len, req->path_params[i].value.data);
    for (size_t i = 0; i < req->query_count; i++)
        buf_printf(&reply->body, "&%.*s=%.*s", (int)req->query[i].name.len, req->query[i].name.data,
                   (int)req->query[i].value.len, req->query[i].value.data);
    return API_DONE;
}

static int handle_a(struct api_request *req, struct api_reply *reply)
{
    return show(req, reply, 'A');
}

static int handle_b(struct api_request *req, struct api_reply *reply)
{
    return show(req, reply, 'B');
}

static int handle_c(struct api_request *req, struct api_reply *reply)
{
    return show(req, reply, 'C');
}

static int handle_twice(struct api_request *req, struct api_reply *reply)
{
    static char seen[1];
    if (req->state == NULL) {
        req->state = seen;
        return API_WAIT;
    }
    req->state = NULL;
    return show(req, reply, 'T');
}

static const struct api_route routes[] = {
    { API_GET, "/", handle_a, "root", API_SCOPE_READ, false },
    { API_GET, "/m/{id}", handle_a, "a", API_SCOPE_READ, false },
    { API_GET, "/m/{id}/raw", handle_b, "b", 0, false },
    { API_GET, "/f/{id}/{sequence}", handle_c, "c", API_SCOPE_READ, false },
    { API_POST, "/m/{id}", handle_c, "p", API_SCOPE_APPEND, false },
    { API_GET, "/twice/{id}", handle_twice, "t", API_SCOPE_READ, false },
    { 0 },
};

static struct server server = { .routes = routes };

static int ask(enum api_method method, const char *target, char out[512], int *ret_status)
{
    struct api_request req = { .server = &server, .method = method };
    struct api_reply reply;
    api_reply_init(&reply);
    /* exactly as large as the target, so that a look past its end shows */
    char *copy = malloc(strlen(target) + 1);
    memcpy(copy, target, strlen(target));
    req.target = (struct slice){ copy, strlen(target) };
    int answer = api_dispatch(&req, &reply);
    if (answer == API_WAIT) answer = api_dispatch(&req, &reply);
    (void)snprintf(out, 512, "%.*s", (int)reply.body.len, reply.body.data != NULL ? reply.body.data : "");
    *ret_status = reply.status;
    for (size_t i = 0; i < reply.header_count; i++)
        if (strcmp(reply.headers[i].name, "Allow") == 0) (void)snprintf(out, 512, "%s", reply.headers[i].value);
    api_reply_free(&reply);
    api_request_free(&req);
    free(copy);
    return answer;
}

static void expect(const char *target, const char *shown)
{
    char out[512];
    int status;
    (void)ask(API_GET, target, out, &status);
    cr_expect_eq(status, 200, "%s -> %d %s", target, status, out);
    cr_expect_str_eq(out, shown, "%s -> %s", target, out);
}

static void expect_status(enum api_method method, const char *target, int wanted)
{
    char out[512];
    int status;
    (void)ask(method, target, out, &status);
    cr_expect_eq(status, wanted, "%s -> %d %s", target, status, out);
}

Test(dispatch, raw_ids_are_taken_whole)
{
    expect("/", "A");
    expect("/m/" MESSAGE, "A|" MESSAGE);
    expect("/m/" MESSAGE "/raw", "B|" MESSAGE);
    expect("/f/" FEED "/12", "C|" FEED "|12");
    expect("/m/" BLOB "?a=1", "A|" BLOB "&a=1");
}

Test(dispatch, encoded_ids_are_decoded)
{
    expect("/m/%25%2B%2FAb%2FAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D.sha256/raw", "B|" MESSAGE);
    expect("/m/%25%2b%2fAb/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256/raw", "B|" MESSAGE);
    expect("/m/%25" RAW ".sha256", "A|" MESSAGE);
    expect("/f/%40" RAW ".ed25519/5", "C|" FEED "|5");
    expect("/m/-_Ab_AAAA", "A|-_Ab_AAAA");
}

Test(dispatch, uris_may_stand_in_a_path_as_they_are)
{
    expect("/m/ssb:message/classic/-_Ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=/raw",
           "B|ssb:message/classic/-_Ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    expect("/m/ssb%3Amessage%2Fclassic%2Fx", "A|ssb:message/classic/x");
}

Test(dispatch, other_parameters_end_at_a_slash)
{
    expect("/m/a+b", "A|a+b");
    expect("/m/%7E%e2%82%ac", "A|~€");
    expect_status(API_GET, "/m/a/b", 404);
}

Test(dispatch, query_values_may_be_raw_ids)
{
    expect("/?dest=" BLOB "&x=1", "A&dest=" BLOB "&x=1");
    expect("/?dest=" MESSAGE, "A&dest=" MESSAGE);
    expect("/?a=" FEED "&b=" BLOB, "A&a=" FEED "&b=" BLOB);
    expect("/?dest=%26" RAW ".sha256", "A&dest=& /Ab/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256");
}

Test(dispatch, query_texts_are_decoded)
{
    expect("/?a=b+c%2B&%61b=%3D=", "A&a=b c+&ab===");
    expect("/?a&b=", "A&a=&b=");
    expect("/?", "A");
    expect("/?&&a=1&", "A&a=1");
    expect("/?a=1?b/c", "A&a=1?b/c");
}

Test(dispatch, broken_escapes_are_bad_requests)
{
    static const char *const bad[] = { "/m/%",  "/m/%2",   "/m/%zz",  "/m/a%00b", "/?a=%",
                                       "/?%=1", "/?a=%2g", "/?a=%00", "/?=1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_status(API_GET, bad[i], 400);
}

Test(dispatch, parameters_are_limited)
{
    char target[400] = "/?";
    for (int i = 0; i < API_PARAMS_MAX; i++)
        strcat(target, "a=1&");
    expect_status(API_GET, target, 200);
    strcat(target, "a=1");
    expect_status(API_GET, target, 400);
}

Test(dispatch, what_is_no_path_is_refused)
{
    static const char *const none[] = { "/m/", "/m", "//", "/m//raw", "/m/" MESSAGE "/", "/x", "/m/a/raw/" };
    static const char *const bad[] = { "", "m/a", "?a=1", "*" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        expect_status(API_GET, none[i], 404);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_status(API_GET, bad[i], 400);
}

Test(dispatch, wrong_methods_are_told_the_right_ones)
{
    char out[512];
    int status;
    (void)ask(API_POST, "/m/a/raw", out, &status);
    cr_expect_eq(status, 405);
    cr_expect_str_eq(out, "GET, HEAD, OPTIONS");
    (void)ask(API_OTHER, "/m/a", out, &status);
    cr_expect_eq(status, 405);
    cr_expect_str_eq(out, "GET, HEAD, POST, OPTIONS");
    (void)ask(API_OPTIONS, "/m/a", out, &status);
    cr_expect_eq(status, 204);
    cr_expect_str_eq(out, "GET, HEAD, POST, OPTIONS");
    (void)ask(API_OPTIONS, "*", out, &status);
    cr_expect_eq(status, 204);
    expect_status(API_OPTIONS, "/none", 404);
    expect_status(API_HEAD, "/m/a", 200);
    expect_status(API_GET, "/live?x=1", 426);
}

Test(dispatch, a_second_call_finds_the_parameters_where_they_were)
{
    expect("/twice/a%20b?c=d%20e", "T|a b&c=d e");
}

Test(dispatch, open_routes_are_known_by_target)
{
    cr_expect_eq(api_target_needs(&server, API_GET, SLICE_LITERAL("/m/a/raw?x")), 0);
    cr_expect_eq(api_target_needs(&server, API_GET, SLICE_LITERAL("/m/a")), API_SCOPE_READ);
    cr_expect_eq(api_target_needs(&server, API_POST, SLICE_LITERAL("/m/a/raw")), API_SCOPE_READ);
    cr_expect_eq(api_target_needs(&server, API_POST, SLICE_LITERAL("/m/a")), API_SCOPE_APPEND);
    cr_expect_eq(api_target_needs(&server, API_GET, SLICE_LITERAL("")), API_SCOPE_READ);
}
