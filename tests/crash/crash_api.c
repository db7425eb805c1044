/* What clients are told when the disk under the log fails: asked of the handlers, without sockets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/crash/check.h"
#include "tests/crash/fault.h"
#include "tests/support/api_kit.h"

static struct api_kit kit;
static const char *where;

/* `parts`, ended by NULL, are all in the answer. */
static void ask(enum api_method method, const char *target, const char *prefer, int status, const char *const *parts)
{
    struct api_told told;
    const struct api_ask request = { .method = method,
                                     .target = target,
                                     .prefer = prefer,
                                     .content_type = method == API_POST ? "application/json" : NULL,
                                     .body = method == API_POST ? "{\"some\":\"value\"}" : NULL };
    api_kit_ask(&kit, &request, &told);
    check_that(told.status == status, where, "%s: %d instead of %d: %s", target, told.status, status, told.body);
    for (; parts != NULL && *parts != NULL; parts++)
        check_that(strstr(told.body, *parts) != NULL, where, "%s: %s without %s", target, told.body, *parts);
    api_told_free(&told);
}

static void ask_durable(const char *head, const char *durable)
{
    struct api_told told;
    api_kit_ask(&kit, &(struct api_ask){ .method = API_HEAD, .target = "/log" }, &told);
    const char *names[] = { "Sluice-Log-Head", "Sluice-Log-Durable" }, *values[] = { head, durable };
    for (int i = 0; i < 2; i++) {
        const char *value = api_told_header(&told, names[i]);
        check_that(value != NULL && strcmp(value, values[i]) == 0, where, "HEAD /log: %s is %s instead of %s", names[i],
                   value != NULL ? value : "absent", values[i]);
    }
    api_told_free(&told);
}

static void ask_ready(void)
{
    check_that(kit_wait_head(kit.flume, (UINT32_C(1) << VIEW_COUNT) - 1) == OK, where, "the views do not get ready");
    ask(API_GET, "/readyz", NULL, 200, NULL);
}

/* One record is durable, at 0; what fails then makes the log one to read, and each answer says why. */
static void run_read_only(const char *name, struct fault_plan plan, const char *cause, const char *head)
{
    const char *const refused[] = { "/problems/read-only", cause, NULL };
    const char *const not_ready[] = { "/problems/not-ready", cause, NULL };
    const char *const status[] = { "\"durable\":0,", "\"failure\":\"", cause, NULL };
    where = name;
    api_kit_open(&kit, true);
    ask(API_POST, "/log", NULL, 201, NULL);
    fault_arm(&plan);
    ask(API_POST, "/log", NULL, 503, refused);
    fault_disarm();
    check_that(fault_fired() > 0, where, "it never fired");
    ask(API_POST, "/log", NULL, 503, refused);
    ask(API_POST, "/log", "durability=relaxed", 503, refused);
    ask(API_GET, "/readyz", NULL, 503, not_ready);
    ask(API_GET, "/status", NULL, 200, status);
    ask(API_GET, "/healthz", NULL, 200, NULL);
    ask(API_GET, "/log", NULL, 200, (const char *const[]){ "\"since\":0,", NULL });
    ask(API_GET, "/log/0", NULL, 200, NULL);
    ask(API_GET, "/feeds", NULL, 200, NULL);
    ask_durable(head, "0");
    check_that(fault_resyncs() == 0, where, "an fsync that failed was tried again");
    /* Opened anew it goes on: then nothing is uncertain. */
    api_kit_reopen(&kit);
    ask(API_POST, "/log", NULL, 201, NULL);
    ask_ready();
    api_kit_close(&kit);
    (void)printf("  api %s\n", name);
}

/* A full disk is an answer, not a state. */
static void run_full(void)
{
    const char *const refused[] = { "/problems/no-space", "No space left", NULL };
    where = "the disk is full for a while";
    api_kit_open(&kit, true);
    ask(API_POST, "/log", NULL, 201, NULL);
    ask_durable("0", "0");
    fault_arm(&(struct fault_plan){ FAULT_WRITE, 1, ENOSPC, FAULT_HALF });
    ask(API_POST, "/log", NULL, 507, refused);
    fault_disarm();
    check_that(fault_fired() == 1, where, "it fired %lu times", fault_fired());
    ask(API_GET, "/status", NULL, 200, (const char *const[]){ "\"head\":0,\"durable\":0,", "\"failure\":null", NULL });
    ask(API_POST, "/log", NULL, 201, (const char *const[]){ "\"seq\":32", NULL });
    ask_durable("32", "32");
    ask_ready();
    api_kit_close(&kit);
    (void)printf("  api %s\n", where);
}

int main(void)
{
    run_read_only("an fsync fails", (struct fault_plan){ FAULT_SYNC, 1, EIO, FAULT_ONCE }, "fsync: Input/output error",
                  "32");
    run_read_only("an fsync finds no space", (struct fault_plan){ FAULT_SYNC, 1, ENOSPC, FAULT_ONCE },
                  "fsync: No space left", "32");
    run_read_only("a write fails", (struct fault_plan){ FAULT_WRITE, 1, EIO, FAULT_ONCE }, "write: Input/output error",
                  "0");
    run_read_only("the disk is read-only", (struct fault_plan){ FAULT_WRITE, 1, EROFS, FAULT_FOREVER },
                  "write: Read-only file system", "0");
    run_read_only("a full disk cannot be cut back", (struct fault_plan){ FAULT_WRITE, 1, ENOSPC, FAULT_STUCK },
                  "truncate: Input/output error", "0");
    run_full();
    return 0;
}
