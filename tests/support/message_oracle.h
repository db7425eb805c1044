/* What jansson says about a record, compared with what message_scan says. For the unit tests and the fuzzer. */
#ifndef TESTS_SUPPORT_MESSAGE_ORACLE_H
#define TESTS_SUPPORT_MESSAGE_ORACLE_H

#include <stddef.h>

#include "store/message.h"

enum oracle_answer {
    ORACLE_NO_JSON, /* jansson refuses the text: nothing is promised but survival */
    ORACLE_SAME,
    ORACLE_DIFFERS,
};

/* Scans the text into `message`, makes the path of every reference, and compares. *ret_what is a literal that names what
 * differs. */
enum oracle_answer message_oracle(struct message *message, const char *data, size_t len, const char **ret_what);

#endif
