#include <criterion/criterion.h>
#include <string.h>

#include "server/metrics.h"

static char *print(const struct metrics *metrics, struct buf *out)
{
    buf_init(out, 65536);
    metrics_print(metrics, out);
    buf_putc(out, '\0');
    cr_assert_eq(out->err, 0);
    return out->data;
}

Test(metrics, counter_has_help_type_and_total)
{
    struct metrics metrics = { 0 };
    struct buf out;
    atomic_fetch_add(&metrics.http_requests, 42);
    const char *text = print(&metrics, &out);
    cr_assert_not_null(strstr(text, "# HELP sluice_http_requests_total HTTP requests answered\n"
                                    "# TYPE sluice_http_requests_total counter\n"
                                    "sluice_http_requests_total 42\n"));
    buf_free(&out);
}

Test(metrics, gauge_keeps_its_name)
{
    struct metrics metrics = { 0 };
    struct buf out;
    atomic_fetch_add(&metrics.ws_clients, 3);
    const char *text = print(&metrics, &out);
    cr_assert_not_null(strstr(text, "\n# TYPE sluice_ws_clients gauge\nsluice_ws_clients 3\n"));
    buf_free(&out);
}

Test(metrics, every_member_of_the_list_is_printed_once)
{
    struct metrics metrics = { 0 };
    struct buf out;
    const char *text = print(&metrics, &out);
    size_t types = 0, members = 0;
    for (const char *at = text; (at = strstr(at, "# TYPE sluice_")) != NULL; at++)
        types++;
#define COUNT(name, kind, help) members++;
    METRICS_LIST(COUNT)
#undef COUNT
    cr_assert_eq(types, members);
    buf_free(&out);
}
