/* Reading scenario files. */
#include "script.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdlib.h>

static void words_add(struct script_words *w, const char *text, size_t size)
{
    w->items = sm_xrealloc(w->items, (w->count + 1) * sizeof *w->items);
    w->items[w->count++] = sm_xstrndup(text, size);
}

void script_words_fini(struct script_words *w)
{
    for (unsigned i = 0; i < w->count; i++)
        free(w->items[i]);
    free(w->items);
    *w = (struct script_words){0};
}

/* The character after a backslash in "...". */
static const char *put_escaped(const char *p, struct sm_buf *word)
{
    unsigned byte;
    if (*p == 'x' && sscanf(p + 1, "%2x", &byte) == 1) {
        sm_buf_putc(word, (char)byte);
        return p + 3;
    }
    sm_buf_putc(word, (char)(*p == 'n' ? '\n' : *p == 't' ? '\t' : *p));
    return p + 1;
}

/* The position behind the closing quote; NULL when there is none. */
static const char *put_quoted(const char *p, struct sm_buf *word)
{
    char quote = *p++;
    while (*p && *p != quote) {
        if (quote == '"' && *p == '\\' && p[1])
            p = put_escaped(p + 1, word);
        else
            sm_buf_putc(word, *p++);
    }
    return *p ? p + 1 : NULL;
}

static const char *put_word(const char *p, struct sm_buf *word)
{
    int depth = 0;
    while (p && *p && (depth || !isspace((unsigned char)*p))) {
        if (*p == '\'' || *p == '"') {
            p = put_quoted(p, word);
            continue;
        }
        depth += (*p == '(') - (*p == ')');
        sm_buf_putc(word, *p++);
    }
    return depth ? NULL : p;
}

bool script_split(const char *text, unsigned line, struct script_words *out)
{
    *out = (struct script_words){.line = line};
    struct sm_buf word = {0};
    const char *p = text;
    for (;;) {
        while (isspace((unsigned char)*p))
            p++;
        if (!*p || *p == '#')
            break;
        sm_buf_clear(&word);
        p = put_word(p, &word);
        if (!p)
            break;
        words_add(out, word.size ? (const char *)word.data : "", word.size);
    }
    sm_buf_fini(&word);
    return p != NULL;
}

/* --- statements --- */

struct reader {
    struct script *script;
    char *text;
    char *at; /* next line; NULL at the end */
    unsigned line;
    struct sm_err *err;
};

static char *next_line(struct reader *r)
{
    if (!r->at)
        return NULL;
    char *line = r->at;
    char *end = strchr(line, '\n');
    r->at = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    r->line++;
    return line;
}

static void body_add(struct script_statement *s, const char *text, size_t size)
{
    s->body = sm_xrealloc(s->body, (s->body_count + 1) * sizeof *s->body);
    s->body[s->body_count++] = sm_xstrndup(text, size);
}

static enum sm_rc fail(struct reader *r, const char *what)
{
    return sm_err_set(r->err, SM_E_INVALID, "%s:%u: %s", r->script->path, r->line, what);
}

/* Words behind a closing brace join the statement's. */
static enum sm_rc take_tail(struct reader *r, struct script_statement *s, const char *text)
{
    struct script_words tail;
    bool ok = script_split(text, r->line, &tail);
    for (unsigned i = 0; i < tail.count; i++)
        words_add(&s->words, tail.items[i], strlen(tail.items[i]));
    script_words_fini(&tail);
    return ok ? SM_OK : fail(r, "a quote or a parenthesis is not closed");
}

static enum sm_rc read_body(struct reader *r, struct script_statement *s)
{
    s->body_line = r->line + 1;
    char *line;
    while ((line = next_line(r)) && line[0] != '}')
        body_add(s, line, strlen(line));
    return line ? take_tail(r, s, line + 1) : fail(r, "the file ends inside a body");
}

/* ` {` at the end of the line, or ` { ... }`; NULL: the statement has no body. */
static char *find_brace(char *line, char **close)
{
    size_t size = strlen(line);
    while (size && isspace((unsigned char)line[size - 1]))
        line[--size] = '\0';
    *close = NULL;
    if (size >= 2 && line[size - 1] == '{' && isspace((unsigned char)line[size - 2]))
        return line + size - 1;
    char *open = strstr(line, " { ");
    if (!open || line[size - 1] != '}')
        return NULL;
    *close = line + size - 1;
    return open + 1;
}

static bool may_have_body(const char *line)
{
    return strncmp(line, "expect", 6) != 0 && line[0] != '#';
}

static enum sm_rc read_statement(struct reader *r, char *line)
{
    char *close = NULL;
    char *brace = may_have_body(line) ? find_brace(line, &close) : NULL;
    if (brace)
        *brace = '\0';
    struct script_statement s = {0};
    bool ok = script_split(line, r->line, &s.words);
    enum sm_rc rc = ok ? SM_OK : fail(r, "a quote or a parenthesis is not closed");
    if (close) {
        s.body_line = r->line;
        body_add(&s, brace + 1, (size_t)(close - brace - 1));
    } else if (brace && rc == SM_OK) {
        rc = read_body(r, &s);
    }
    if (s.words.count) {
        struct script *script = r->script;
        script->statements = sm_xrealloc(script->statements, (script->count + 1) * sizeof *script->statements);
        script->statements[script->count++] = s;
    }
    return rc;
}

static char *read_file(const char *path, struct sm_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        sm_err_set(err, SM_E_IO, "%s: cannot be opened", path);
        return NULL;
    }
    struct sm_buf text = {0};
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        sm_buf_put(&text, part, n);
    fclose(f);
    sm_buf_putc(&text, '\0');
    return (char *)text.data;
}

struct script *script_load(const char *path, struct sm_err *err)
{
    char *text = read_file(path, err);
    if (!text)
        return NULL;
    struct script *script = sm_xcalloc(1, sizeof *script);
    script->path = sm_xstrndup(path, strlen(path));
    struct reader r = {.script = script, .text = text, .at = text, .err = err};
    enum sm_rc rc = SM_OK;
    for (char *line; rc == SM_OK && (line = next_line(&r));)
        rc = read_statement(&r, line);
    free(text);
    if (rc == SM_OK)
        return script;
    script_free(script);
    return NULL;
}

void script_free(struct script *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->count; i++) {
        script_words_fini(&s->statements[i].words);
        for (unsigned k = 0; k < s->statements[i].body_count; k++)
            free(s->statements[i].body[k]);
        free(s->statements[i].body);
    }
    free(s->statements);
    free(s->path);
    free(s);
}
