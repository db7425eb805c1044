#include "server/wake.h"

#include "server/diag.h"
#include "server/http.h"
#include "server/ws.h"
#include "store/err.h"

void wake_init(struct wake *wake)
{
    *wake = (struct wake){ 0 };
    (void)pthread_mutex_init(&wake->lock, NULL);
}

static void say_failure(struct flume *flume)
{
    char text[DIAG_QUOTE_MAX];
    diag_error("write_failed", "detail=%s reading=goes-on", diag_quote(err_detail(flume_failure(flume)), text));
}

void wake_attach(struct wake *wake, struct flume *flume, struct http *http, struct ws *ws)
{
    (void)pthread_mutex_lock(&wake->lock);
    wake->flume = flume;
    wake->http = http;
    wake->ws = ws;
    bool failed = wake->failed;
    (void)pthread_mutex_unlock(&wake->lock);
    if (failed) say_failure(flume);
}

void wake_above(struct wake *wake, struct flume *above)
{
    (void)pthread_mutex_lock(&wake->lock);
    wake->above = above;
    (void)pthread_mutex_unlock(&wake->lock);
}

void wake_detach(struct wake *wake)
{
    (void)pthread_mutex_lock(&wake->lock);
    wake->above = NULL;
    wake->http = NULL;
    wake->ws = NULL;
    (void)pthread_mutex_unlock(&wake->lock);
}

void wake_event(void *ctx, enum flume_event event)
{
    struct wake *wake = ctx;
    (void)pthread_mutex_lock(&wake->lock);
    if (wake->http != NULL) http_wake(wake->http);
    if (wake->ws != NULL) ws_wake(wake->ws);
    if (wake->above != NULL) (void)flume_head(wake->above);
    struct flume *flume = wake->flume;
    if (event == FLUME_FAILED) wake->failed = true;
    (void)pthread_mutex_unlock(&wake->lock);

    if (event == FLUME_CHANGED && !wake->quiet)
        diag_warn("log_changed", "detail=\"the followed log was replaced; reading the new one\"");
    if (event == FLUME_FAILED && flume != NULL) say_failure(flume);
}
