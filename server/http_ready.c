/* Responses of the library that were used before. To make one costs forty allocations, most of them for header fields that are
 * the same every time: for short answers that is more than finding out what they say. The library cannot change the length of a
 * response, so some of each length are kept: as many as are answered before the first of them is sent. */
#include <stdlib.h>
#include <string.h>

#include "server/http_internal.h"

#define READY_FIELDS_MAX 4
#define READY_VALUE_MAX 40

struct ready {
    struct ready *next;
    struct MHD_Response *response;
    size_t len, field_count;
    struct ready_field {
        const char *name;
        char *value; /* the library's copy; NULL = it could not make one */
        size_t len;
    } fields[READY_FIELDS_MAX]; /* those of the reply, which change */
    char body[];
};

/* Nothing about it is special but what the handler has put in. */
static bool reply_ordinary(const struct exchange *exchange)
{
    const struct api_reply *reply = &exchange->reply;
    /* those of the owner are made for one answer only: nothing of them is ever near another client's */
    bool ordinary = exchange->req.server == exchange->http->server && reply->stream == NULL && reply->status >= 200 &&
                    reply->status < 204 && reply->body.len <= READY_BODY_MAX &&
                    reply->header_count <= READY_FIELDS_MAX && !exchange->close &&
                    exchange->http->server->config->allow_origin_count == 0 &&
                    strcmp(reply->content_type, "application/json") == 0;
    for (size_t i = 0; i < reply->header_count && ordinary; i++)
        ordinary = strlen(reply->headers[i].value) < READY_VALUE_MAX;
    return ordinary;
}

static void ready_free(struct ready *ready)
{
    if (ready == NULL) return;
    MHD_destroy_response(ready->response);
    free(ready);
}

static bool fields_same(const struct ready *ready, const struct api_reply *reply)
{
    bool same = ready->field_count == reply->header_count;
    for (size_t i = 0; i < reply->header_count && same; i++)
        same = strcmp(ready->fields[i].name, reply->headers[i].name) == 0;
    return same;
}

/* Takes out one of that length whose fields have the same names. */
static struct ready *ready_take(struct http *http, const struct api_reply *reply)
{
    struct ready_slot *slot = &http->ready[reply->body.len % READY_SLOTS];
    (void)pthread_mutex_lock(&http->lock);
    struct ready **link = &slot->first;
    while (*link != NULL && ((*link)->len != reply->body.len || !fields_same(*link, reply)))
        link = &(*link)->next;
    struct ready *ready = *link;
    if (ready != NULL) {
        *link = ready->next;
        if (--slot->count > 0) http->ready_spare--;
    }
    (void)pthread_mutex_unlock(&http->lock);
    return ready;
}

/* Of two fields of one name the library shows the first one only. */
static bool fields_distinct(const struct api_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(reply->headers[i].name, reply->headers[k].name) == 0) return false;
    return true;
}

static struct ready *ready_new(const struct api_reply *reply)
{
    struct ready *ready = fields_distinct(reply) ? malloc(sizeof *ready + reply->body.len) : NULL;
    if (ready == NULL) return NULL;
    ready->len = reply->body.len;
    ready->field_count = 0;
    ready->response = MHD_create_response_from_buffer(ready->len, ready->body, MHD_RESPMEM_PERSISTENT);
    if (ready->response != NULL) return ready;
    free(ready);
    return NULL;
}

static void field_add(struct ready *ready, struct ready_field *field, const struct api_header *header)
{
    (void)MHD_add_response_header(ready->response, header->name, header->value);
    const char *copy = MHD_get_response_header(ready->response, header->name);
    *field = (struct ready_field){ .name = header->name, .len = strlen(header->value) };
    memcpy(&field->value, &copy, sizeof copy); /* lent as const: see field_set */
}

/* The library reads its copy when the head of an answer is made, and at no other time: as long as the response is nobody else's, a value of the
 * same length takes the place of the old one. To have it deleted and added costs three allocations, and a walk over all fields. */
static void field_set(struct ready *ready, size_t i, const struct api_header *header)
{
    struct ready_field *field = &ready->fields[i];
    bool there = i < ready->field_count && field->value != NULL;
    if (there && strlen(header->value) == field->len) {
        memcpy(field->value, header->value, field->len);
        return;
    }
    if (there) (void)MHD_del_response_header(ready->response, field->name, field->value);
    field_add(ready, field, header);
}

struct MHD_Response *ready_response(struct exchange *exchange, bool *ret_complete)
{
    const struct api_reply *reply = &exchange->reply;
    if (!reply_ordinary(exchange)) return NULL;
    struct ready *ready = ready_take(exchange->http, reply);
    *ret_complete = ready != NULL;
    if (ready == NULL) ready = ready_new(reply);
    if (ready == NULL) return NULL;
    for (size_t i = 0; i < reply->header_count; i++)
        field_set(ready, i, &reply->headers[i]);
    ready->field_count = reply->header_count;
    if (ready->len > 0) memcpy(ready->body, reply->body.data, ready->len);
    exchange->ready = ready;
    return ready->response;
}

/* Of a slot that is not empty. Under lock. */
static struct ready *oldest_take(struct http *http, struct ready_slot *slot)
{
    struct ready **link = &slot->first;
    while ((*link)->next != NULL)
        link = &(*link)->next;
    struct ready *oldest = *link;
    *link = NULL;
    if (--slot->count > 0) http->ready_spare--;
    return oldest;
}

void ready_over(struct exchange *exchange)
{
    struct http *http = exchange->http;
    struct ready *ready = exchange->ready;
    if (ready == NULL) return;
    exchange->ready = NULL;
    struct ready_slot *slot = &http->ready[ready->len % READY_SLOTS];
    struct ready *oldest = NULL;
    (void)pthread_mutex_lock(&http->lock);
    ready->next = slot->first;
    slot->first = ready;
    if (slot->count++ > 0) http->ready_spare++;
    if (slot->count > READY_SLOT_MAX || http->ready_spare > READY_SPARE_MAX) oldest = oldest_take(http, slot);
    (void)pthread_mutex_unlock(&http->lock);
    ready_free(oldest);
}

void ready_free_all(struct http *http)
{
    for (size_t i = 0; i < READY_SLOTS; i++)
        while (http->ready[i].count > 0)
            ready_free(oldest_take(http, &http->ready[i]));
}
