#include "views/query_walk.h"

#include <stdlib.h>

#include "store/err.h"
#include "views/index_keys.h"
#include "views/near.h"

void query_walk_close(struct query_walk *walk)
{
    if (walk == NULL) return;
    for (size_t i = 0; i < walk->list_count; i++)
        list_iter_close(&walk->lists[i].iter);
    flume_read_end(&walk->read);
    message_free(&walk->message);
    free(walk->lists);
    free(walk);
}

static int walk_add_list(struct query_walk *walk, kv_table table, const struct term *term)
{
    int err = index_grow(&walk->lists, &walk->list_cap, walk->list_count, sizeof *walk->lists);
    if (err != OK) return err;
    struct walk_list *list = &walk->lists[walk->list_count];
    list->known = list->ended = false;
    err = list_iter_open(walk->read.txn, table, false, term, walk->reverse, &list->iter);
    if (err == OK) walk->list_count++;
    return err;
}

/* The lists of the terms that begin so; or none, and the records will be looked at. */
static int walk_add_prefix(struct query_walk *walk, kv_table table, const struct filter_term *term, bool *ret_checked)
{
    struct term terms[WALK_PREFIX_TERMS + 1];
    size_t count = 0;
    int err = list_terms(walk->read.txn, table, false, &term->term, terms, WALK_PREFIX_TERMS + 1, &count);
    *ret_checked = count > WALK_PREFIX_TERMS;
    for (size_t i = 0; err == OK && !*ret_checked && i < count; i++)
        err = walk_add_list(walk, table, &terms[i]);
    return err;
}

static int walk_add_term(struct query_walk *walk, const struct filter_term *term)
{
    const struct view *view = flume_view(walk->read.flume, (enum view_id)term->view);
    if (view == NULL) return err_set(ERR_NOTFOUND, "%s: its view is not there", term->field->name);
    int64_t since = flume_read_since(&walk->read, view);
    if (since < walk->horizon) walk->horizon = since;
    kv_table table = view->fields[term->index];
    struct walk_part part = { .first = walk->list_count, .term = term };
    bool checked = term->kind == FILTER_PHRASE || term->kind == FILTER_TIME;
    int err = OK;
    if (term->kind == FILTER_TERM) err = walk_add_list(walk, table, &term->term);
    if (term->kind == FILTER_PREFIX) err = walk_add_prefix(walk, table, term, &checked);
    if (err != OK) return err;
    part.count = walk->list_count - part.first;
    if (checked)
        walk->checks[walk->check_count++] = term;
    else if (!term->negate)
        walk->parts[walk->part_count++] = part;
    return OK;
}

/* A walk over the lists needs one to walk over: where only records could tell, that of all terms of the field. */
static int walk_add_any(struct query_walk *walk)
{
    for (size_t i = 0; walk->part_count == 0 && i < walk->check_count; i++) {
        struct filter_term any = *walk->checks[i];
        any.kind = FILTER_TERM;
        term_of_string("", 0, &any.term);
        int err = walk_add_term(walk, &any);
        if (err != OK) return err;
        walk->parts[0].term = walk->checks[i];
    }
    return OK;
}

static int walk_add_all(struct query_walk *walk)
{
    const struct filter *filter = &walk->query->filter;
    int err = OK;
    for (size_t i = 0; err == OK && i < filter->count; i++)
        if (!filter->terms[i].negate) err = walk_add_term(walk, &filter->terms[i]);
    if (err == OK) err = walk_add_any(walk);
    walk->absent_first = walk->list_count;
    for (size_t i = 0; err == OK && i < filter->count; i++)
        if (filter->terms[i].negate) err = walk_add_term(walk, &filter->terms[i]);
    walk->absent_end = walk->list_count;
    return err;
}

int query_walk_open(struct query *query, struct flume *flume, struct query_walk **ret_walk)
{
    struct query_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) return err_set(ERR_NOMEM, "no memory for a query");
    message_init(&walk->message);
    walk->query = query;
    walk->reverse = query->range.reverse;
    walk->deadline_ms = query->patience_ms == INT64_MAX ? INT64_MAX : flume_now_ms() + query->patience_ms;
    int err = flume_read_begin(flume, &walk->read);
    if (err != OK) {
        free(walk);
        return err;
    }
    walk->horizon = log_durable(walk->read.log);
    err = walk_add_all(walk);
    if (err != OK) {
        query_walk_close(walk);
        return err;
    }
    *ret_walk = walk;
    return OK;
}

/* Looked at once in a while, for the clock costs as much as a step. A record that is read and scanned counts for many. */
#define STEPS_PER_LOOK 1024
#define STEPS_OF_RECORD 32

int query_walk_patience(struct query_walk *walk, int64_t at)
{
    if (++walk->steps < STEPS_PER_LOOK) return OK;
    walk->steps = 0;
    int err = flume_read_late(&walk->read);
    if (err == ERR_CLOSED || walk->deadline_ms == INT64_MAX || flume_now_ms() < walk->deadline_ms) return err;
    return err_set(ERR_SLOW,
                   "nothing was found in the time that a query may take, and it has come to seq %lld: go on from there "
                   "(gt, lt), or ask for something rarer first",
                   (long long)at);
}

/* The first entry at `place` or past it, in the direction of travel: 1, 0, <0. */
static int walk_list_seek(struct walk_list *list, uint64_t place)
{
    if (list->known && list->ended) return 0;
    if (list->known && (list->iter.reverse ? list->entry.at <= place : list->entry.at >= place)) return 1;
    int found = list_seek(&list->iter, place, &list->entry);
    if (found < 0) return found;
    list->known = true;
    list->ended = found == 0;
    return found;
}

/* The same of a part. */
static int walk_part_seek(struct query_walk *walk, const struct walk_part *part, uint64_t place, uint64_t *ret_place)
{
    bool any = false;
    uint64_t best = 0;
    for (size_t i = part->first; i < part->first + part->count; i++) {
        struct walk_list *list = &walk->lists[i];
        int found = walk_list_seek(list, place);
        if (found < 0) return found;
        if (found == 0 || (any && (walk->reverse ? list->entry.at <= best : list->entry.at >= best))) continue;
        best = list->entry.at;
        any = true;
    }
    if (any) *ret_place = best;
    return any;
}

int query_walk_agree(struct query_walk *walk, int64_t at, int64_t *ret_seq)
{
    uint64_t place = (uint64_t)at;
    for (size_t agreed = 0, i = 0; agreed < walk->part_count; i = (i + 1) % walk->part_count) {
        uint64_t next = place;
        int found = walk_part_seek(walk, &walk->parts[i], place, &next);
        if (found != 1) return found;
        agreed = next == place ? agreed + 1 : 1;
        place = next;
        found = query_walk_patience(walk, (int64_t)place);
        if (found == OK) continue;
        /* nothing in front of it fits */
        if (place <= (uint64_t)SEQ_MAX) walk->query->at = (int64_t)place;
        return found;
    }
    if (place > (uint64_t)SEQ_MAX) return err_set(ERR_CORRUPT, "a list of the views holds a damaged seq; rebuild them");
    *ret_seq = (int64_t)place;
    return 1;
}

int query_walk_times(struct query_walk *walk, const struct walk_part *part, int64_t seq, uint64_t *ret_times)
{
    uint64_t times = 0;
    for (size_t i = part->first; i < part->first + part->count; i++) {
        struct walk_list *list = &walk->lists[i];
        int at = walk_list_seek(list, (uint64_t)seq);
        if (at < 0) return at;
        while (!list->ended && list->entry.at == (uint64_t)seq) {
            int found = list_next(&list->iter, &list->entry);
            if (found < 0) return found;
            list->ended = found == 0;
            times++;
        }
    }
    *ret_times = times;
    return OK;
}

int query_walk_allows(struct query_walk *walk, int64_t seq)
{
    for (size_t i = walk->absent_first; i < walk->absent_end; i++) {
        int found = walk_list_seek(&walk->lists[i], (uint64_t)seq);
        if (found < 0) return found;
        if (found == 1 && walk->lists[i].entry.at == (uint64_t)seq) return 0;
    }
    return 1;
}

bool query_walk_looks(const struct query_walk *walk)
{
    return walk->check_count > 0 || walk->query->filter.near != NULL;
}

/* Of the message that was scanned last. */
static bool walk_author_wanted(const struct query_walk *walk)
{
    const struct near *near = walk->query->filter.near;
    return near == NULL || near_has(near, &walk->message.author_ref);
}

int query_walk_near(struct query_walk *walk, const struct log_record *record)
{
    if (walk->query->filter.near == NULL) return 1;
    walk->steps += STEPS_OF_RECORD;
    int err = message_scan(&walk->message, record->value.data, record->value.len);
    return err == OK ? walk_author_wanted(walk) : err;
}

int query_walk_checks(struct query_walk *walk, int64_t seq)
{
    struct log_record record;
    int err = log_get(walk->read.log, seq, &record);
    if (err == OK && query_walk_looks(walk)) {
        walk->steps += STEPS_OF_RECORD;
        err = message_scan(&walk->message, record.value.data, record.value.len);
    }
    if (err != OK) return err == ERR_DELETED ? 0 : err;
    for (size_t i = 0; i < walk->check_count; i++)
        if (!filter_match_term(walk->checks[i], &walk->message)) return 0;
    return walk_author_wanted(walk);
}
