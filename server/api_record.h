/* What handlers that answer with one record have in common. */
#ifndef SERVER_API_RECORD_H
#define SERVER_API_RECORD_H

#include "server/rows.h"

/* Encrypted messages are not there for clients that may see public ones only. */
bool api_record_hidden(const struct api_request *req, const struct log_record *record);

/* The record of `log` as the answer, 404 if it is hidden. Answers API_DONE. */
int api_record(struct api_request *req, struct api_reply *reply, const struct log *log,
               const struct log_record *record);

/* A JSON body that was printed into reply->body: 200, or the problem if it grew too large. Answers API_DONE. */
int api_json(struct api_reply *reply);

/* API_DONE = go on; anything else of api_fresh is the handler's answer: *ret_answer. */
bool api_fresh_now(struct api_request *req, struct api_reply *reply, uint32_t views, int *ret_answer);

#endif
