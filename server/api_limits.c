#include <inttypes.h>
#include <string.h>

#include "server/api_record.h"
#include "server/append_expect.h"
#include "server/config_table.h"
#include "server/limits.h"
#include "server/live_sub.h"
#include "server/node.h"
#include "server/publish_body.h"
#include "store/blob_dir.h"
#include "store/canonical.h"
#include "views/graph.h"
#include "views/near.h"
#include "views/query_walk.h"
#include "views/said.h"
#include "views/search.h"
#include "views/thread.h"
#include "views/view_names.h"
#include "views/words.h"

struct limit {
    const char *name;
    int64_t fixed; /* where it is no option */
    const char *unit;
    const char *text; /* NULL: it is an option, and has its value and text */
    int status, close;
    bool ends;
};

static const struct limit limits[] = {
#define OPTION(name, unit, status, close, ends) { name, 0, unit, NULL, status, close, ends },
#define FIXED(name, value, unit, status, close, ends, text) { name, value, unit, text, status, close, ends },
#include "server/limits.def"
#undef FIXED
#undef OPTION
};

static void put_code(struct buf *out, const char *name, int code)
{
    if (code > 0)
        (void)buf_printf(out, ",\"%s\":%d", name, code);
    else
        (void)buf_printf(out, ",\"%s\":null", name);
}

static void put_limit(struct buf *out, const struct limit *limit, const struct config *config)
{
    int64_t value = limit->fixed;
    int64_t usual = value;
    const char *text = limit->text;
    bool is_option = text == NULL;
    if (is_option) {
        const struct config_option *option = config_option_named(limit->name, strlen(limit->name));
        memcpy(&value, (const char *)config + option->at, sizeof value);
        (void)config_number(option, option->fallback, &usual);
        text = option->help;
    }
    (void)buf_printf(out,
                     "{\"name\":\"%s\",\"option\":%s,\"value\":%" PRId64 ",\"default\":%" PRId64 ",\"unit\":\"%s\"",
                     limit->name, is_option ? "true" : "false", value, usual, limit->unit);
    put_code(out, "status", limit->status);
    put_code(out, "close", limit->close);
    (void)buf_printf(out, ",\"ends\":%s,\"text\":", limit->ends ? "true" : "false");
    (void)buf_put_json(out, text, strlen(text));
    (void)buf_putc(out, '}');
}

int api_limits(struct api_request *req, struct api_reply *reply)
{
    static const char *const names[] = { NULL };
    if (!api_query_only(req, reply, names)) return API_DONE;
    (void)buf_puts(&reply->body, "{\"limits\":[");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (i > 0) (void)buf_putc(&reply->body, ',');
        put_limit(&reply->body, &limits[i], req->server->config);
    }
    (void)buf_puts(&reply->body, "]}");
    return api_json(reply);
}
