/* Tree -> conditions (typed, folded, negations pushed to the leaves, ordered by cost) -> instructions. */
#include "span/traceql/compile.h"

#include "span/traceql/print.h"
#include "span/traceql/program.h"

#include <math.h>
#include <stdlib.h>

/* ---- conditions ---- */

enum cond_kind { COND_CONST, COND_TEST, COND_AND, COND_OR };

struct cond {
    enum cond_kind kind;
    bool value;   /* CONST */
    bool negated; /* TEST */
    uint32_t cost;
    uint32_t child, next; /* AND, OR: list of parts, SM_TRACEQL_NONE at the end */
    struct sm_traceql_insn insn; /* TEST */
};

struct compiler {
    struct sm_traceql_set *set;
    struct sm_str query;
    const struct sm_traceql_ast *ast;
    struct sm_traceql_error *err;
    struct cond *conds; /* one per node at most */
    uint32_t n_conds, n_tests;
};

#define FAIL(c, rc, offset, ...) sm_traceql_error_set((c)->err, rc, (c)->query, offset, __VA_ARGS__)

static uint32_t new_cond(struct compiler *c, struct cond cond)
{
    cond.next = SM_TRACEQL_NONE;
    c->conds[c->n_conds] = cond;
    return c->n_conds++;
}

static uint32_t new_const(struct compiler *c, bool value)
{
    return new_cond(c, (struct cond){.kind = COND_CONST, .value = value, .child = SM_TRACEQL_NONE});
}

static uint32_t new_test(struct compiler *c, struct sm_traceql_insn insn, uint32_t cost, bool negated)
{
    c->n_tests++;
    return new_cond(
        c, (struct cond){.kind = COND_TEST, .insn = insn, .cost = cost, .negated = negated, .child = SM_TRACEQL_NONE});
}

/* Puts `part` into the list of `group` behind the last part that is not dearer. */
static void insert_part(struct compiler *c, uint32_t group, uint32_t part)
{
    uint32_t *link = &c->conds[group].child;
    while (*link != SM_TRACEQL_NONE && c->conds[*link].cost <= c->conds[part].cost)
        link = &c->conds[*link].next;
    c->conds[part].next = *link;
    *link = part;
    c->conds[group].cost += c->conds[part].cost;
}

/* Adds a part to an AND or OR: constants are folded, parts of the same kind merged. */
static void add_part(struct compiler *c, uint32_t group, uint32_t part)
{
    struct cond *g = &c->conds[group], *p = &c->conds[part];
    if (g->kind == COND_CONST)
        return;
    if (p->kind == COND_CONST) {
        if (p->value == (g->kind == COND_OR))
            *g = (struct cond){.kind = COND_CONST, .value = p->value, .child = SM_TRACEQL_NONE, .next = SM_TRACEQL_NONE};
        return;
    }
    if (p->kind != g->kind) {
        insert_part(c, group, part);
        return;
    }
    for (uint32_t i = p->child; i != SM_TRACEQL_NONE;) {
        uint32_t next = c->conds[i].next;
        insert_part(c, group, i);
        i = next;
    }
}

/* A group without parts is constant, one with a single part is that part. */
static uint32_t simplify(struct compiler *c, uint32_t group)
{
    struct cond *g = &c->conds[group];
    if (g->kind == COND_CONST)
        return group;
    if (g->child == SM_TRACEQL_NONE) {
        g->value = g->kind == COND_AND;
        g->kind = COND_CONST;
        return group;
    }
    return c->conds[g->child].next == SM_TRACEQL_NONE ? g->child : group;
}

/* ---- terms ---- */

static bool operand_eq(const struct sm_traceql_operand *a, const struct sm_traceql_operand *b)
{
    if (a->source != b->source || a->slot != b->slot || !sm_str_eq(a->key, b->key))
        return false;
    if (a->source != SM_TRACEQL_FROM_CONSTANT)
        return true;
    if (a->value.type != b->value.type)
        return false;
    switch (a->value.type) {
    case SM_VALUE_STRING:
        return sm_str_eq(a->value.bytes, b->value.bytes);
    case SM_VALUE_BOOL:
        return a->value.b == b->value.b;
    default:
        return a->value.i == b->value.i; /* the bits of a double, too */
    }
}

static uint8_t take_bit(uint8_t *used)
{
    return *used < SM_TRACEQL_MEMO_BITS ? (*used)++ : SM_TRACEQL_MEMO_NONE;
}

/* Which results can be remembered: those that depend on one name or one resource, and constants. */
static uint8_t memo_for(struct sm_traceql_set *set, const struct sm_traceql_term *term)
{
    if (term->right.source > SM_TRACEQL_FROM_NOTHING)
        return SM_TRACEQL_MEMO_NONE;
    switch (term->left.source) {
    case SM_TRACEQL_FROM_NAME:
    case SM_TRACEQL_FROM_ROOT_NAME:
    case SM_TRACEQL_FROM_ROOT_SERVICE:
        return take_bit(&set->n_name_memos);
    case SM_TRACEQL_FROM_RESOURCE:
    case SM_TRACEQL_FROM_ANY:
        return take_bit(&set->n_resource_memos);
    default:
        return SM_TRACEQL_MEMO_NONE;
    }
}

static enum sm_rc compile_regex(struct compiler *c, struct sm_traceql_term *term, uint32_t offset)
{
    if (term->op != SM_TRACEQL_MATCH && term->op != SM_TRACEQL_NOT_MATCH)
        return SM_OK;
    struct sm_err why;
    enum sm_rc rc = sm_traceql_regex_new(term->right.value.bytes, &term->regex, &why);
    return rc ? FAIL(c, rc, offset, "%s", why.text) : SM_OK;
}

/* The index of the term, a known one where possible. */
static enum sm_rc add_term(struct compiler *c, struct sm_traceql_term term, uint32_t offset, uint32_t *index)
{
    struct sm_traceql_set *set = c->set;
    for (uint32_t i = 0; i < set->n_terms; i++) {
        const struct sm_traceql_term *t = &set->terms[i];
        if (t->op == term.op && operand_eq(&t->left, &term.left) && operand_eq(&t->right, &term.right)) {
            *index = i;
            return SM_OK;
        }
    }
    enum sm_rc rc = compile_regex(c, &term, offset);
    if (rc)
        return rc;
    if (set->n_terms == set->terms_capacity) {
        set->terms_capacity = set->terms_capacity ? set->terms_capacity * 2 : 16;
        set->terms = sm_xrealloc(set->terms, set->terms_capacity * sizeof *set->terms);
    }
    term.memo = memo_for(set, &term);
    *index = set->n_terms;
    set->terms[set->n_terms++] = term;
    return SM_OK;
}

/* A slot for the key; without one its attribute is found by walking. */
static uint32_t slot_for(struct compiler *c, struct sm_str key)
{
    uint32_t slot;
    if (!c->set->wanted || sm_wanted_add(c->set->wanted, key, &slot) != SM_OK)
        return SM_WANTED_NONE;
    return slot;
}

static struct sm_traceql_operand field_operand(struct compiler *c, const struct sm_traceql_field *field)
{
    static const enum sm_traceql_source intrinsics[] = {
        [SM_TRACEQL_STATUS_FIELD] = SM_TRACEQL_FROM_STATUS,
        [SM_TRACEQL_STATUS_MESSAGE] = SM_TRACEQL_FROM_STATUS_MESSAGE,
        [SM_TRACEQL_KIND_FIELD] = SM_TRACEQL_FROM_KIND,
        [SM_TRACEQL_NAME] = SM_TRACEQL_FROM_NAME,
        [SM_TRACEQL_DURATION_FIELD] = SM_TRACEQL_FROM_DURATION,
        [SM_TRACEQL_TRACE_DURATION] = SM_TRACEQL_FROM_TRACE_DURATION,
        [SM_TRACEQL_ROOT_NAME] = SM_TRACEQL_FROM_ROOT_NAME,
        [SM_TRACEQL_ROOT_SERVICE] = SM_TRACEQL_FROM_ROOT_SERVICE,
    };
    struct sm_traceql_operand o = {.slot = SM_WANTED_NONE, .key = field->key};
    switch (field->scope) {
    case SM_TRACEQL_INTRINSIC:
        o.source = intrinsics[field->intrinsic];
        break;
    case SM_TRACEQL_RESOURCE_ATTR:
        o.source = SM_TRACEQL_FROM_RESOURCE;
        break;
    case SM_TRACEQL_SPAN_ATTR:
    case SM_TRACEQL_ANY_ATTR:
        o.source = field->scope == SM_TRACEQL_ANY_ATTR ? SM_TRACEQL_FROM_ANY : SM_TRACEQL_FROM_SPAN;
        o.slot = slot_for(c, field->key);
        break;
    }
    return o;
}

static struct sm_traceql_operand constant_operand(const struct sm_traceql_value *value)
{
    struct sm_traceql_operand o = {.source = SM_TRACEQL_FROM_CONSTANT, .slot = SM_WANTED_NONE};
    switch (value->type) {
    case SM_TRACEQL_NIL:
        o.source = SM_TRACEQL_FROM_NOTHING;
        break;
    case SM_TRACEQL_BOOL:
        o.value = (struct sm_value){.type = SM_VALUE_BOOL, .b = value->boolean};
        break;
    case SM_TRACEQL_FLOAT:
        o.value = (struct sm_value){.type = SM_VALUE_DOUBLE, .d = value->real};
        break;
    case SM_TRACEQL_STRING:
        o.value = (struct sm_value){.type = SM_VALUE_STRING, .bytes = value->string};
        break;
    case SM_TRACEQL_INT:
    case SM_TRACEQL_DURATION:
    case SM_TRACEQL_STATUS:
    case SM_TRACEQL_KIND:
        o.value = (struct sm_value){.type = SM_VALUE_INT, .i = value->integer};
        break;
    }
    return o;
}

/* ---- types ---- */

/* What a field can be: one of these, or anything (attributes). */
enum class { CLASS_ANY, CLASS_STRING, CLASS_NUMBER, CLASS_STATUS, CLASS_KIND, CLASS_BOOL, CLASS_NIL };

static enum class field_class(const struct sm_traceql_field *field)
{
    static const enum class classes[] = {
        [SM_TRACEQL_STATUS_FIELD] = CLASS_STATUS,   [SM_TRACEQL_STATUS_MESSAGE] = CLASS_STRING,
        [SM_TRACEQL_KIND_FIELD] = CLASS_KIND,       [SM_TRACEQL_NAME] = CLASS_STRING,
        [SM_TRACEQL_DURATION_FIELD] = CLASS_NUMBER, [SM_TRACEQL_TRACE_DURATION] = CLASS_NUMBER,
        [SM_TRACEQL_ROOT_NAME] = CLASS_STRING,      [SM_TRACEQL_ROOT_SERVICE] = CLASS_STRING,
    };
    return field->scope == SM_TRACEQL_INTRINSIC ? classes[field->intrinsic] : CLASS_ANY;
}

static enum class value_class(const struct sm_traceql_value *value)
{
    static const enum class classes[] = {CLASS_NIL,    CLASS_BOOL,   CLASS_NUMBER, CLASS_NUMBER,
                                         CLASS_NUMBER, CLASS_STRING, CLASS_STATUS, CLASS_KIND};
    return classes[value->type];
}

static const char *class_values(enum class class)
{
    static const char *const texts[] = {
        [CLASS_ANY] = "any value",
        [CLASS_STRING] = "a string (in quotes)",
        [CLASS_NUMBER] = "a duration (100ms) or a number",
        [CLASS_STATUS] = "error, ok or unset",
        [CLASS_KIND] = "server, client, producer, consumer, internal or unspecified",
        [CLASS_BOOL] = "true or false",
        [CLASS_NIL] = "nil",
    };
    return texts[class];
}

static bool op_fits(enum sm_traceql_op op, enum class class)
{
    switch (op) {
    case SM_TRACEQL_EQ:
    case SM_TRACEQL_NE:
        return true;
    case SM_TRACEQL_MATCH:
    case SM_TRACEQL_NOT_MATCH:
        return class == CLASS_STRING;
    default:
        return class == CLASS_STRING || class == CLASS_NUMBER || class == CLASS_ANY;
    }
}

static void field_text(const struct sm_traceql_field *field, char out[64])
{
    sm_traceql_print_field(field, out, 64);
}

/* ---- comparisons ---- */

/* A comparison with its field on the left. */
struct comparison {
    const struct sm_traceql_field *field;
    const struct sm_traceql_field *other; /* the right side, if it is a field */
    struct sm_traceql_value value;        /* else this */
    enum sm_traceql_op op;
    uint32_t node, value_offset;
};

enum { COST_TRACE = 1, COST_HEADER = 2, COST_NAME = 4, COST_RESOURCE = 6, COST_SPAN = 12, COST_ANY = 16, COST_BYTES = 60,
       COST_REGEX = 40 };

static uint32_t operand_cost(const struct sm_traceql_operand *o)
{
    uint32_t walk = o->slot == SM_WANTED_NONE ? COST_BYTES : 0;
    switch (o->source) {
    case SM_TRACEQL_FROM_CONSTANT:
    case SM_TRACEQL_FROM_NOTHING:
        return 0;
    case SM_TRACEQL_FROM_TRACE_DURATION:
    case SM_TRACEQL_FROM_ROOT_NAME:
    case SM_TRACEQL_FROM_ROOT_SERVICE:
        return COST_TRACE;
    case SM_TRACEQL_FROM_STATUS:
    case SM_TRACEQL_FROM_KIND:
    case SM_TRACEQL_FROM_DURATION:
        return COST_HEADER;
    case SM_TRACEQL_FROM_NAME:
        return COST_NAME;
    case SM_TRACEQL_FROM_RESOURCE:
        return COST_RESOURCE;
    case SM_TRACEQL_FROM_SPAN:
        return COST_SPAN + walk;
    case SM_TRACEQL_FROM_ANY:
        return COST_ANY + walk;
    case SM_TRACEQL_FROM_STATUS_MESSAGE:
        return COST_BYTES;
    }
    return COST_BYTES;
}

static uint32_t term_cost(const struct sm_traceql_term *term)
{
    uint32_t cost = operand_cost(&term->left) + operand_cost(&term->right);
    bool remembered = term->memo != SM_TRACEQL_MEMO_NONE && term->left.source != SM_TRACEQL_FROM_ANY;
    return term->regex && sm_traceql_regex_is_costly(term->regex) && !remembered ? cost + COST_REGEX : cost;
}

static bool is_trace_source(enum sm_traceql_source source)
{
    return source <= SM_TRACEQL_FROM_ROOT_SERVICE;
}

static enum sm_traceql_test test_for(const struct sm_traceql_term *term)
{
    bool constant = term->right.source <= SM_TRACEQL_FROM_NOTHING;
    if (!constant)
        return is_trace_source(term->left.source) && is_trace_source(term->right.source) ? SM_TRACEQL_TEST_TRACE
                                                                                          : SM_TRACEQL_TEST_SPAN;
    switch (term->left.source) {
    case SM_TRACEQL_FROM_ROOT_NAME:
        return SM_TRACEQL_TEST_ROOT_NAME;
    case SM_TRACEQL_FROM_ROOT_SERVICE:
        return SM_TRACEQL_TEST_ROOT_SERVICE;
    case SM_TRACEQL_FROM_NAME:
        return SM_TRACEQL_TEST_NAME;
    case SM_TRACEQL_FROM_RESOURCE:
        return SM_TRACEQL_TEST_RESOURCE;
    case SM_TRACEQL_FROM_ANY:
        return SM_TRACEQL_TEST_ANY;
    default:
        return SM_TRACEQL_TEST_SPAN;
    }
}

static enum sm_rc lower_term(struct compiler *c, const struct comparison *cmp, bool negated, uint32_t *out)
{
    struct sm_traceql_term term = {.op = cmp->op, .left = field_operand(c, cmp->field)};
    term.right = cmp->other ? field_operand(c, cmp->other) : constant_operand(&cmp->value);
    uint32_t index;
    enum sm_rc rc = add_term(c, term, cmp->value_offset, &index);
    if (rc)
        return rc;
    const struct sm_traceql_term *added = &c->set->terms[index];
    struct sm_traceql_insn insn = {.test = test_for(added), .term = index, .node = cmp->node};
    *out = new_test(c, insn, term_cost(added), negated);
    return SM_OK;
}

static uint32_t lower_bit_set(struct compiler *c, const struct comparison *cmp, enum sm_traceql_test test, bool negated)
{
    uint64_t bits = UINT64_C(1) << cmp->value.integer;
    if (cmp->op == SM_TRACEQL_NE)
        bits = ~bits;
    return new_test(c, (struct sm_traceql_insn){.test = test, .low = bits, .node = cmp->node}, COST_HEADER, negated);
}

/* The numbers v >= 0 that fulfil `v op value`, all 64-bit and unsigned. */
struct range {
    bool empty, outside;
    uint64_t low, high;
};

static const struct range range_none = {.empty = true}, range_all = {.low = 0, .high = UINT64_MAX};

static struct range integer_range(enum sm_traceql_op op, int64_t value)
{
    uint64_t v = (uint64_t)value;
    bool negative = value < 0;
    switch (op) {
    case SM_TRACEQL_EQ:
        return negative ? range_none : (struct range){.low = v, .high = v};
    case SM_TRACEQL_NE:
        return negative ? range_all : (struct range){.low = v, .high = v, .outside = true};
    case SM_TRACEQL_LT:
        return value <= 0 ? range_none : (struct range){.low = 0, .high = v - 1};
    case SM_TRACEQL_LE:
        return negative ? range_none : (struct range){.low = 0, .high = v};
    case SM_TRACEQL_GT:
        return negative ? range_all : (struct range){.low = v + 1, .high = UINT64_MAX};
    default: /* GE */
        return negative ? range_all : (struct range){.low = v, .high = UINT64_MAX};
    }
}

/* Integers against a real: the bound moves to the next integer, equality needs a whole one. */
static struct range real_range(enum sm_traceql_op op, double value)
{
    bool below = op == SM_TRACEQL_LT || op == SM_TRACEQL_LE;
    if (!(fabs(value) < 9.2e18)) {
        bool all = op == SM_TRACEQL_NE || (value > 0) == below;
        return all && op != SM_TRACEQL_EQ ? range_all : range_none;
    }
    if (op == SM_TRACEQL_EQ || op == SM_TRACEQL_NE) {
        if (value != floor(value))
            return op == SM_TRACEQL_NE ? range_all : range_none;
        return integer_range(op, (int64_t)value);
    }
    bool up = op == SM_TRACEQL_LT || op == SM_TRACEQL_GE;
    return integer_range(op, (int64_t)(up ? ceil(value) : floor(value)));
}

static uint32_t lower_range(struct compiler *c, const struct comparison *cmp, enum sm_traceql_test test, bool negated)
{
    struct range r = cmp->value.type == SM_TRACEQL_FLOAT ? real_range(cmp->op, cmp->value.real)
                                                         : integer_range(cmp->op, cmp->value.integer);
    if (r.empty)
        return new_const(c, negated);
    struct sm_traceql_insn insn = {
        .test = test, .low = r.low, .width = r.high - r.low, .outside = r.outside, .node = cmp->node};
    return new_test(c, insn, test == SM_TRACEQL_TEST_TRACE_DURATION ? COST_TRACE : COST_HEADER, negated);
}

static bool is_intrinsic(const struct sm_traceql_field *field, enum sm_traceql_intrinsic intrinsic)
{
    return field->scope == SM_TRACEQL_INTRINSIC && field->intrinsic == intrinsic;
}

static enum sm_rc check_nil(struct compiler *c, const struct comparison *cmp)
{
    char field[64];
    field_text(cmp->field, field);
    if (cmp->op != SM_TRACEQL_EQ && cmp->op != SM_TRACEQL_NE)
        return FAIL(c, SM_E_INVALID, c->ast->nodes[cmp->node].offset, "nil can only be compared with = and !=");
    if (is_intrinsic(cmp->field, SM_TRACEQL_STATUS_FIELD) || is_intrinsic(cmp->field, SM_TRACEQL_KIND_FIELD))
        return FAIL(c, SM_E_INVALID, cmp->value_offset, "%s is never nil; compare it with %s", field,
                    class_values(field_class(cmp->field)));
    return SM_OK;
}

static enum sm_rc check_types(struct compiler *c, const struct comparison *cmp)
{
    enum class left = field_class(cmp->field), right = cmp->other ? field_class(cmp->other) : value_class(&cmp->value);
    char field[64];
    field_text(cmp->field, field);
    if (right == CLASS_NIL)
        return check_nil(c, cmp);
    if (cmp->other && (cmp->op == SM_TRACEQL_MATCH || cmp->op == SM_TRACEQL_NOT_MATCH))
        return FAIL(c, SM_E_INVALID, cmp->value_offset, "a regular expression must be a string, not a field");
    if (cmp->other && (left == CLASS_STATUS || left == CLASS_KIND || right == CLASS_STATUS || right == CLASS_KIND))
        return FAIL(c, SM_E_UNSUPPORTED, cmp->value_offset, "status and kind can only be compared with constants");
    if (left != CLASS_ANY && right != CLASS_ANY && left != right)
        return FAIL(c, SM_E_INVALID, cmp->value_offset, "%s must be compared with %s", field, class_values(left));
    if (left == CLASS_ANY && (right == CLASS_STATUS || right == CLASS_KIND))
        return FAIL(c, SM_E_INVALID, cmp->value_offset, "%s is an attribute, which never is %s; a string needs quotes",
                    field, sm_traceql_print_type(cmp->value.type));
    if (!op_fits(cmp->op, right == CLASS_ANY ? left : right))
        return FAIL(c, SM_E_INVALID, c->ast->nodes[cmp->node].offset, "%s does not apply to %s",
                    sm_traceql_print_op(cmp->op), class_values(right));
    return SM_OK;
}

static enum sm_rc lower_field_comparison(struct compiler *c, const struct comparison *cmp, bool negated, uint32_t *out)
{
    enum sm_rc rc = check_types(c, cmp);
    if (rc)
        return rc;
    bool nil = !cmp->other && cmp->value.type == SM_TRACEQL_NIL;
    if (is_intrinsic(cmp->field, SM_TRACEQL_STATUS_FIELD))
        *out = lower_bit_set(c, cmp, SM_TRACEQL_TEST_STATUS, negated);
    else if (is_intrinsic(cmp->field, SM_TRACEQL_KIND_FIELD))
        *out = lower_bit_set(c, cmp, SM_TRACEQL_TEST_KIND, negated);
    else if (is_intrinsic(cmp->field, SM_TRACEQL_DURATION_FIELD) && !cmp->other && !nil)
        *out = lower_range(c, cmp, SM_TRACEQL_TEST_DURATION, negated);
    else if (is_intrinsic(cmp->field, SM_TRACEQL_TRACE_DURATION) && !cmp->other && !nil)
        *out = lower_range(c, cmp, SM_TRACEQL_TEST_TRACE_DURATION, negated);
    else
        return lower_term(c, cmp, negated, out);
    return SM_OK;
}

static enum sm_traceql_op flipped(enum sm_traceql_op op)
{
    static const enum sm_traceql_op flips[] = {
        [SM_TRACEQL_EQ] = SM_TRACEQL_EQ,       [SM_TRACEQL_NE] = SM_TRACEQL_NE,
        [SM_TRACEQL_LT] = SM_TRACEQL_GT,       [SM_TRACEQL_LE] = SM_TRACEQL_GE,
        [SM_TRACEQL_GT] = SM_TRACEQL_LT,       [SM_TRACEQL_GE] = SM_TRACEQL_LE,
        [SM_TRACEQL_MATCH] = SM_TRACEQL_MATCH, [SM_TRACEQL_NOT_MATCH] = SM_TRACEQL_NOT_MATCH,
    };
    return flips[op];
}

static double real_of(const struct sm_traceql_value *v)
{
    return v->type == SM_TRACEQL_FLOAT ? v->real : (double)v->integer;
}

static int constant_order(const struct sm_traceql_value *a, const struct sm_traceql_value *b)
{
    if (a->type == SM_TRACEQL_STRING)
        return sm_str_cmp(a->string, b->string);
    if (a->type == SM_TRACEQL_BOOL)
        return a->boolean - b->boolean;
    if (a->type == SM_TRACEQL_FLOAT || b->type == SM_TRACEQL_FLOAT)
        return (real_of(a) > real_of(b)) - (real_of(a) < real_of(b));
    return (a->integer > b->integer) - (a->integer < b->integer);
}

static enum sm_rc fold_regex(struct compiler *c, const struct sm_traceql_node *left, const struct sm_traceql_node *right,
                             bool wanted, bool *holds)
{
    struct sm_err why;
    struct sm_traceql_regex *regex;
    enum sm_rc rc = sm_traceql_regex_new(right->value.string, &regex, &why);
    if (rc)
        return FAIL(c, rc, right->offset, "%s", why.text);
    struct sm_traceql_regex_scratch *scratch = sm_traceql_regex_scratch_new();
    *holds = sm_traceql_regex_holds(regex, scratch, left->value.string, wanted);
    sm_traceql_regex_scratch_free(scratch);
    sm_traceql_regex_free(regex);
    return SM_OK;
}

/* Both sides constant. Comparing nil is always false. */
static enum sm_rc lower_constants(struct compiler *c, const struct sm_traceql_node *node, bool negated, uint32_t *out)
{
    const struct sm_traceql_node *left = &c->ast->nodes[node->left], *right = &c->ast->nodes[node->right];
    enum class class = value_class(&left->value);
    bool holds = false;
    if (class == CLASS_NIL || value_class(&right->value) == CLASS_NIL) {
        *out = new_const(c, negated);
        return SM_OK;
    }
    if (class != value_class(&right->value))
        return FAIL(c, SM_E_INVALID, right->offset, "%s cannot be compared with %s",
                    sm_traceql_print_type(left->value.type), sm_traceql_print_type(right->value.type));
    if (!op_fits(node->op, class))
        return FAIL(c, SM_E_INVALID, node->offset, "%s does not apply to %s", sm_traceql_print_op(node->op),
                    class_values(class));
    enum sm_rc rc = SM_OK;
    if (node->op == SM_TRACEQL_MATCH || node->op == SM_TRACEQL_NOT_MATCH)
        rc = fold_regex(c, left, right, node->op == SM_TRACEQL_MATCH, &holds);
    else
        holds = sm_traceql_ordered(constant_order(&left->value, &right->value), node->op);
    if (!rc)
        *out = new_const(c, holds != negated);
    return rc;
}

static enum sm_rc lower(struct compiler *c, uint32_t index, bool negated, uint32_t *out);

static bool is_condition(const struct sm_traceql_node *node)
{
    return node->kind == SM_TRACEQL_AND || node->kind == SM_TRACEQL_OR || node->kind == SM_TRACEQL_NOT ||
           node->kind == SM_TRACEQL_COMPARE;
}

/* `(condition) = true` and the like; comparing conditions with fields or each other is not handled. */
static enum sm_rc lower_condition_comparison(struct compiler *c, const struct sm_traceql_node *node, bool negated,
                                             uint32_t *out)
{
    const struct sm_traceql_node *left = &c->ast->nodes[node->left], *right = &c->ast->nodes[node->right];
    const struct sm_traceql_node *constant = is_condition(left) ? right : left;
    bool equality = node->op == SM_TRACEQL_EQ || node->op == SM_TRACEQL_NE;
    if (left->kind == SM_TRACEQL_NOT && c->ast->nodes[left->left].kind == SM_TRACEQL_FIELD && constant == right &&
        !(right->kind == SM_TRACEQL_VALUE && right->value.type == SM_TRACEQL_BOOL))
        return FAIL(c, SM_E_INVALID, left->offset, "! binds tighter than %s: write !(...) around the comparison",
                    sm_traceql_print_op(node->op));
    if (!equality || constant->kind != SM_TRACEQL_VALUE || constant->value.type != SM_TRACEQL_BOOL)
        return FAIL(c, SM_E_UNSUPPORTED, node->offset, "a condition can only be compared with true or false by = and !=");
    bool flips = constant->value.boolean != (node->op == SM_TRACEQL_EQ);
    return lower(c, is_condition(left) ? node->left : node->right, negated != flips, out);
}

static enum sm_rc lower_comparison(struct compiler *c, uint32_t index, bool negated, uint32_t *out)
{
    const struct sm_traceql_node *node = &c->ast->nodes[index];
    const struct sm_traceql_node *left = &c->ast->nodes[node->left], *right = &c->ast->nodes[node->right];
    if (is_condition(left) || is_condition(right))
        return lower_condition_comparison(c, node, negated, out);
    if (left->kind == SM_TRACEQL_VALUE && right->kind == SM_TRACEQL_VALUE)
        return lower_constants(c, node, negated, out);
    struct comparison cmp = {.op = node->op, .node = index};
    if (left->kind == SM_TRACEQL_VALUE) {
        if (node->op == SM_TRACEQL_MATCH || node->op == SM_TRACEQL_NOT_MATCH)
            return FAIL(c, SM_E_INVALID, right->offset, "a regular expression must be a string, not a field");
        const struct sm_traceql_node *swap = left;
        left = right;
        right = swap;
        cmp.op = flipped(node->op);
    }
    cmp.field = &left->field;
    cmp.value_offset = right->offset;
    if (right->kind == SM_TRACEQL_FIELD)
        cmp.other = &right->field;
    else
        cmp.value = right->value;
    return lower_field_comparison(c, &cmp, negated, out);
}

/* An attribute alone asks whether it is true; `!` before it whether it is false. */
static enum sm_rc lower_bare_field(struct compiler *c, uint32_t index, bool negated, uint32_t *out)
{
    const struct sm_traceql_node *node = &c->ast->nodes[index];
    if (node->field.scope == SM_TRACEQL_INTRINSIC) {
        char field[64];
        field_text(&node->field, field);
        return FAIL(c, SM_E_INVALID, node->offset, "%s is no condition; compare it with %s", field,
                    class_values(field_class(&node->field)));
    }
    struct comparison cmp = {.op = SM_TRACEQL_EQ, .field = &node->field, .node = negated ? SM_TRACEQL_NONE : index,
                             .value = {.type = SM_TRACEQL_BOOL, .boolean = !negated}, .value_offset = node->offset};
    return lower_term(c, &cmp, false, out);
}

static enum sm_rc lower_group(struct compiler *c, const struct sm_traceql_node *node, bool negated, uint32_t *out)
{
    uint32_t left, right;
    enum sm_rc rc = lower(c, node->left, negated, &left);
    if (!rc)
        rc = lower(c, node->right, negated, &right);
    if (rc)
        return rc;
    enum cond_kind kind = (node->kind == SM_TRACEQL_AND) != negated ? COND_AND : COND_OR;
    uint32_t group = new_cond(c, (struct cond){.kind = kind, .child = SM_TRACEQL_NONE});
    add_part(c, group, left);
    add_part(c, group, right);
    *out = simplify(c, group);
    return SM_OK;
}

/* The condition of a node in boolean position, negated if asked. */
static enum sm_rc lower(struct compiler *c, uint32_t index, bool negated, uint32_t *out)
{
    const struct sm_traceql_node *node = &c->ast->nodes[index];
    switch (node->kind) {
    case SM_TRACEQL_AND:
    case SM_TRACEQL_OR:
        return lower_group(c, node, negated, out);
    case SM_TRACEQL_NOT:
        return lower(c, node->left, !negated, out);
    case SM_TRACEQL_COMPARE:
        return lower_comparison(c, index, negated, out);
    case SM_TRACEQL_FIELD:
        return lower_bare_field(c, index, negated, out);
    case SM_TRACEQL_VALUE:
        if (node->value.type != SM_TRACEQL_BOOL)
            return FAIL(c, SM_E_INVALID, node->offset, "a condition is expected, this is %s",
                        sm_traceql_print_type(node->value.type));
        *out = new_const(c, node->value.boolean != negated);
        return SM_OK;
    case SM_TRACEQL_SPANSET:
        break;
    }
    return FAIL(c, SM_E_UNSUPPORTED, node->offset, "a spanset within a condition is not supported here");
}

/* ---- instructions ---- */

/* Appends the instructions of a condition, last ones first; returns where it begins. */
static uint16_t emit(struct compiler *c, struct sm_traceql_prog *prog, uint32_t index, uint16_t yes, uint16_t no)
{
    const struct cond *cond = &c->conds[index];
    if (cond->kind == COND_CONST)
        return cond->value ? yes : no;
    if (cond->kind == COND_TEST) {
        struct sm_traceql_insn insn = cond->insn;
        insn.yes = cond->negated ? no : yes;
        insn.no = cond->negated ? yes : no;
        prog->insns[prog->n_insns] = insn;
        return prog->n_insns++;
    }
    uint32_t n = 0;
    for (uint32_t i = cond->child; i != SM_TRACEQL_NONE; i = c->conds[i].next)
        n++;
    uint32_t *parts = sm_xmalloc(n * sizeof *parts);
    n = 0;
    for (uint32_t i = cond->child; i != SM_TRACEQL_NONE; i = c->conds[i].next)
        parts[n++] = i;
    bool and = cond->kind == COND_AND;
    uint16_t next = and ? yes : no;
    while (n-- > 0)
        next = and ? emit(c, prog, parts[n], next, no) : emit(c, prog, parts[n], yes, next);
    free(parts);
    return next;
}

static uint16_t mirrored(const struct sm_traceql_prog *prog, uint16_t at)
{
    return at < prog->n_insns ? (uint16_t)(prog->n_insns - 1 - at) : at;
}

/* First instructions first. */
static void reverse(struct sm_traceql_prog *prog)
{
    for (uint16_t i = 0, j = prog->n_insns; i + 1 < j; i++) {
        struct sm_traceql_insn t = prog->insns[i];
        prog->insns[i] = prog->insns[--j];
        prog->insns[j] = t;
    }
    for (uint16_t i = 0; i < prog->n_insns; i++) {
        prog->insns[i].yes = mirrored(prog, prog->insns[i].yes);
        prog->insns[i].no = mirrored(prog, prog->insns[i].no);
    }
    prog->entry = mirrored(prog, prog->entry);
}

/* Can the end ACCEPT be reached when the tests in `is_false` fail? Jumps lead forward only. */
static bool accepts_without(const struct sm_traceql_prog *prog, bool (*is_false)(const struct sm_traceql_insn *, uint32_t),
                            uint32_t argument)
{
    bool reached[SM_TRACEQL_NODES_MAX] = {false};
    if (prog->entry >= SM_TRACEQL_REJECT)
        return prog->entry == SM_TRACEQL_ACCEPT;
    reached[prog->entry] = true;
    for (uint16_t i = prog->entry; i < prog->n_insns; i++) {
        if (!reached[i])
            continue;
        uint16_t ends[] = {prog->insns[i].no, prog->insns[i].yes};
        for (int k = 0; k < (is_false(&prog->insns[i], argument) ? 1 : 2); k++) {
            if (ends[k] == SM_TRACEQL_ACCEPT)
                return true;
            if (ends[k] != SM_TRACEQL_REJECT)
                reached[ends[k]] = true;
        }
    }
    return false;
}

static bool is_status_error(const struct sm_traceql_insn *insn, uint32_t unused)
{
    (void)unused;
    return insn->test == SM_TRACEQL_TEST_STATUS && insn->low == UINT64_C(1) << SM_STATUS_ERROR;
}

static bool never_false(const struct sm_traceql_insn *insn, uint32_t unused)
{
    (void)insn;
    (void)unused;
    return false;
}

bool sm_traceql_never(const struct sm_traceql_prog *prog)
{
    return !accepts_without(prog, never_false, 0);
}

static struct sm_traceql_prog *generate(struct compiler *c, uint32_t root)
{
    struct sm_traceql_prog *prog = sm_xcalloc(1, sizeof *prog + c->n_tests * sizeof prog->insns[0]);
    prog->set = c->set;
    prog->entry = emit(c, prog, root, SM_TRACEQL_ACCEPT, SM_TRACEQL_REJECT);
    reverse(prog);
    prog->needs_error = !accepts_without(prog, is_status_error, 0);
    return prog;
}

/* ---- requirements ---- */

static bool is_of_node(const struct sm_traceql_insn *insn, uint32_t node)
{
    return insn->node == node;
}

static void requirement_of(const struct sm_traceql_ast *ast, uint32_t index, struct sm_traceql_requirement *out)
{
    const struct sm_traceql_node *node = &ast->nodes[index];
    if (node->kind == SM_TRACEQL_FIELD) {
        *out = (struct sm_traceql_requirement){
            .field = node->field, .op = SM_TRACEQL_EQ, .value = {.type = SM_TRACEQL_BOOL, .boolean = true}};
        return;
    }
    const struct sm_traceql_node *left = &ast->nodes[node->left], *right = &ast->nodes[node->right];
    bool flip = left->kind == SM_TRACEQL_VALUE;
    out->field = flip ? right->field : left->field;
    out->op = flip ? flipped(node->op) : node->op;
    out->value = flip ? left->value : right->value;
}

static bool between_fields(const struct sm_traceql_ast *ast, uint32_t index)
{
    const struct sm_traceql_node *node = &ast->nodes[index];
    return node->kind == SM_TRACEQL_COMPARE && ast->nodes[node->left].kind == SM_TRACEQL_FIELD &&
           ast->nodes[node->right].kind == SM_TRACEQL_FIELD;
}

size_t sm_traceql_requirements(const struct sm_traceql_prog *prog, struct sm_traceql_requirement *out, size_t max)
{
    size_t n = 0;
    if (sm_traceql_never(prog))
        return 0;
    for (uint16_t i = 0; i < prog->n_insns && n < max; i++) {
        uint32_t node = prog->insns[i].node;
        if (node == SM_TRACEQL_NONE || between_fields(&prog->ast, node))
            continue;
        if (!accepts_without(prog, is_of_node, node))
            requirement_of(&prog->ast, node, &out[n++]);
    }
    return n;
}

/* ---- sets ---- */

struct sm_traceql_set *sm_traceql_set_new(struct sm_wanted *wanted)
{
    struct sm_traceql_set *set = sm_xcalloc(1, sizeof *set);
    set->wanted = wanted;
    return set;
}

static void prog_free(struct sm_traceql_prog *prog)
{
    sm_traceql_ast_fini(&prog->ast);
    free(prog->text);
    free(prog);
}

void sm_traceql_set_free(struct sm_traceql_set *set)
{
    if (!set)
        return;
    for (uint32_t i = 0; i < set->n_progs; i++)
        prog_free(set->progs[i]);
    for (uint32_t i = 0; i < set->n_terms; i++)
        sm_traceql_regex_free(set->terms[i].regex);
    free(set->progs);
    free(set->terms);
    free(set);
}

/* Takes back what a failed compilation added: its terms refer to a tree that goes away. */
static void undo_terms(struct sm_traceql_set *set, const struct sm_traceql_set *before)
{
    for (uint32_t i = before->n_terms; i < set->n_terms; i++)
        sm_traceql_regex_free(set->terms[i].regex);
    set->n_terms = before->n_terms;
    set->n_name_memos = before->n_name_memos;
    set->n_resource_memos = before->n_resource_memos;
}

static void keep_prog(struct sm_traceql_set *set, struct sm_traceql_prog *prog, const struct sm_traceql_ast *ast)
{
    prog->ast = *ast;
    size_t size = sm_traceql_print(ast, NULL, 0) + 1;
    prog->text = sm_xmalloc(size);
    sm_traceql_print(ast, prog->text, size);
    if (set->n_progs == set->progs_capacity) {
        set->progs_capacity = set->progs_capacity ? set->progs_capacity * 2 : 8;
        set->progs = sm_xrealloc(set->progs, set->progs_capacity * sizeof(struct sm_traceql_prog *));
    }
    set->progs[set->n_progs++] = prog;
}

static enum sm_rc compile_root(struct compiler *c, struct sm_traceql_prog **prog)
{
    uint32_t filter = c->ast->nodes[c->ast->root].left, root;
    enum sm_rc rc = SM_OK;
    if (filter == SM_TRACEQL_NONE)
        root = new_const(c, true);
    else
        rc = lower(c, filter, false, &root);
    if (!rc)
        *prog = generate(c, root);
    return rc;
}

enum sm_rc sm_traceql_compile(struct sm_traceql_set *set, struct sm_str query, const struct sm_traceql_prog **prog,
                              struct sm_traceql_error *err)
{
    struct sm_traceql_ast ast;
    *prog = NULL;
    enum sm_rc rc = sm_traceql_parse(query, &ast, err);
    if (rc)
        return rc;
    struct sm_traceql_set before = *set;
    struct sm_traceql_prog *made = NULL;
    struct compiler c = {.set = set, .query = query, .ast = &ast, .err = err};
    c.conds = sm_xcalloc(ast.n_nodes, sizeof *c.conds);
    rc = compile_root(&c, &made);
    free(c.conds);
    if (rc) {
        undo_terms(set, &before);
        sm_traceql_ast_fini(&ast);
        return rc;
    }
    keep_prog(set, made, &ast);
    *prog = made;
    return SM_OK;
}

const char *sm_traceql_prog_text(const struct sm_traceql_prog *prog)
{
    return prog->text;
}
