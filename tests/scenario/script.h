/* A scenario file as statements: words, and for some a body between braces.
 *
 *   verb word word ...                      one line
 *   verb word ... { body }                  body on the same line
 *   verb word ... {                         body over several lines, ended by a line that begins with `}`;
 *   ...                                     words behind it belong to the statement
 *   } word ...
 *
 * Words are separated by white space; '...' is literal, "..." knows \n \t \\ \" and \xHH; parentheses keep white space
 * together. `#` at the start of a word begins a comment. Everything belongs to the script. */
#ifndef SM_SCENARIO_SCRIPT_H
#define SM_SCENARIO_SCRIPT_H

#include "base/base.h"

struct script_words {
    unsigned line;
    char **items;
    unsigned count;
};

struct script_statement {
    struct script_words words;
    char **body; /* raw lines; NULL: none */
    unsigned body_count;
    unsigned body_line; /* of the first one */
};

struct script {
    char *path;
    struct script_statement *statements;
    unsigned count;
};

/* NULL after filling *err. */
struct script *script_load(const char *path, struct sm_err *err);
void script_free(struct script *s);

/* Splits one line; free with script_words_fini. False: a quote or a parenthesis is not closed. */
bool script_split(const char *text, unsigned line, struct script_words *out);
void script_words_fini(struct script_words *words);

#endif
