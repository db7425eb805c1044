#include "server/metrics.h"

#include <string.h>

/* Prometheus wants counters to end in _total. */
static void print_one(struct buf *out, const char *name, const char *kind, const char *help, int64_t value)
{
    const char *end = strcmp(kind, "counter") == 0 ? "_total" : "";
    (void)buf_printf(out, "# HELP sluice_%s%s %s\n# TYPE sluice_%s%s %s\nsluice_%s%s ", name, end, help, name, end,
                     kind, name, end);
    (void)buf_put_int(out, value);
    (void)buf_putc(out, '\n');
}

void metrics_print(const struct metrics *metrics, struct buf *out)
{
#define METRICS_PRINT(name, kind, help) \
    print_one(out, #name, kind, help, atomic_load_explicit(&metrics->name, memory_order_relaxed));
    METRICS_LIST(METRICS_PRINT)
#undef METRICS_PRINT
}
