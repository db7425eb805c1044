#include "server/patience.h"

#include "server/api.h"

static _Thread_local int64_t limit_ms;
static _Thread_local bool short_pages;

void patience_limit(int64_t ms)
{
    limit_ms = ms;
}

bool patience_limited(void)
{
    return limit_ms > 0;
}

void patience_short_pages(bool only)
{
    short_pages = only;
}

bool patience_for_page(int64_t rows)
{
    return !short_pages || rows <= PATIENCE_PAGE_ROWS;
}

int64_t patience_of(int64_t ms)
{
    return limit_ms > 0 && limit_ms < ms ? limit_ms : ms;
}

int64_t patience_of_query(const struct server *server)
{
    return patience_of(server->config->query_timeout * 1000);
}
