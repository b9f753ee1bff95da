/* SPDX-License-Identifier: Apache-2.0 */
/* BTF: types by name, ways to members, and sections that lie. */
#include <errno.h>
#include <stdlib.h>

#include "btf_made.h"
#include "btf_path.h"
#include "test.h"

/*
 * struct inner { int a; unsigned long b[4]; };
 * typedef struct inner inner_t;
 * enum color { RED, BLUE = 7 };
 * struct outer {
 *	struct outer *next;
 *	inner_t in;
 *	union { enum color color; unsigned raw; };
 *	unsigned flags : 3, level : 5;
 *	char name[16];
 * };
 * outer_var: a variable
 */
struct fixture {
	struct btf_made made;
	struct btf *btf;
	uint32_t inner, outer;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct btf_made *m = &f->made;
	uint32_t i32, u64, u32, ch, array, def, color, pointer, anonymous, text, outer;

	made_init(m);
	i32 = made_int(m, "int", 4, 1);
	u32 = made_int(m, "unsigned int", 4, 0);
	u64 = made_int(m, "unsigned long", 8, 0);
	ch = made_int(m, "char", 1, 1);
	array = made_type(m, "", BTF_ARRAY, false, 0, 0);
	made_word(m, u64);
	made_word(m, u32);
	made_word(m, 4);
	f->inner = made_type(m, "inner", BTF_STRUCT, false, 2, 40);
	made_member(m, "a", i32, 0);
	made_member(m, "b", array, 64);
	def = made_type(m, "inner_t", BTF_TYPEDEF, false, 0, f->inner);
	color = made_type(m, "color", BTF_ENUM, false, 2, 4);
	made_word(m, made_name(m, "RED"));
	made_word(m, 0);
	made_word(m, made_name(m, "BLUE"));
	made_word(m, 7);
	anonymous = made_type(m, "", BTF_UNION, false, 2, 4);
	made_member(m, "color", color, 0);
	made_member(m, "raw", u32, 0);
	text = made_type(m, "", BTF_ARRAY, false, 0, 0);
	made_word(m, ch);
	made_word(m, u32);
	made_word(m, 16);
	outer = made_type(m, "outer", BTF_STRUCT, true, 6, 72);
	pointer = outer + 1;
	made_member(m, "next", pointer, 0);
	made_member(m, "in", def, 64);
	made_member(m, "", anonymous, 64 + 320);
	made_member(m, "flags", u32, 3u << 24 | 416);
	made_member(m, "level", u32, 5u << 24 | 419);
	made_member(m, "name", text, 448);
	assert_int_equal(made_type(m, "", BTF_PTR, false, 0, outer), pointer);
	made_type(m, "outer_var", BTF_VAR, false, 0, outer);
	made_word(m, 1);
	made_finish(m);
	f->outer = outer;
	assert_int_equal(btf_new(m->bytes, m->len, NULL, &f->btf), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	btf_free(f->btf);
	free(f);
	return 0;
}

static void names(void **state)
{
	struct fixture *f = *state;
	char text[64];

	assert_int_equal(btf_find(f->btf, "outer"), f->outer);
	assert_int_equal(btf_find(f->btf, "struct outer"), f->outer);
	assert_int_equal(btf_find(f->btf, "union outer"), BTF_VOID);
	assert_int_equal(btf_find(f->btf, "nothing"), BTF_VOID);
	assert_int_equal(btf_resolve(f->btf, btf_find(f->btf, "inner_t")), f->inner);
	assert_int_equal(btf_target(f->btf, btf_find_variable(f->btf, "outer_var")), f->outer);
	assert_true(btf_size(f->btf, f->outer) == 72);
	assert_string_equal(btf_enum_name(f->btf, btf_find(f->btf, "color"), 7), "BLUE");
	assert_null(btf_enum_name(f->btf, btf_find(f->btf, "color"), 6));
	btf_describe(f->btf, f->outer + 1, text, sizeof(text));
	assert_string_equal(text, "struct outer *");
}

static void paths(void **state)
{
	struct fixture *f = *state;
	struct btf_path p;

	assert_true(btf_path_find(f->btf, f->outer, "in.b[2]", &p));
	assert_int_equal(p.n, 1);
	assert_true(p.offsets[0] == 8 + 8 + 16 && p.size_bytes == 8 && !p.is_signed);
	assert_true(btf_path_find(f->btf, f->outer, "color", &p));
	assert_true(p.offsets[0] == 48 && p.size_bytes == 4);
	assert_true(btf_path_find(f->btf, f->outer, "level", &p));
	assert_true(p.offsets[0] == 52 && p.bit_offset == 3 && p.bits == 5);
	assert_true(btf_path_find(f->btf, f->outer, "next->next->in.a", &p));
	assert_int_equal(p.n, 3);
	assert_true(p.offsets[0] == 0 && p.offsets[1] == 0 && p.offsets[2] == 8 && p.is_signed);
	assert_true(btf_path_find(f->btf, f->outer, "next[1].name", &p));
	assert_int_equal(p.n, 2);
	assert_true(p.offsets[1] == 72 + 56 && p.size_bytes == 16);
	assert_true(btf_path_find(f->btf, f->outer, "", &p));
	assert_true(p.size_bytes == 72);
}

static void wrong_paths(void **state)
{
	static const char *const wrong[] = { "nam",
					     "name.",
					     "in->a",
					     "next.in",

					     "in[0]",
					     "in.b[",
					     "in.b[x]",
					     "in.b[-1]",
					     "in a",
					     "flags.x",
					     "next->next->next->next->next->"
					     "next->next->next->name" };
	struct fixture *f = *state;
	struct btf_path p;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_false(btf_path_find(f->btf, f->outer, wrong[i], &p));
	}
}

static void split(void **state)
{
	struct fixture *f = *state;
	struct btf_made m;
	struct btf_path p;
	struct btf *module;
	uint32_t id;

	made_init(&m);
	m.strings_len = 0; /* only the base's begin with an empty one */
	m.first_name = (uint32_t)f->made.strings_len;
	made_type(&m, "mine", BTF_STRUCT, false, 1, 72);
	made_member(&m, "base", f->outer, 0);
	made_finish(&m);
	assert_int_equal(btf_new(m.bytes, m.len, f->btf, &module), 0);
	id = btf_find(module, "mine");
	assert_int_equal(id, btf_count(f->btf));
	assert_true(btf_path_find(module, id, "base.in.a", &p));
	assert_true(p.offsets[0] == 8);
	assert_int_equal(btf_find(module, "outer"), f->outer);
	btf_free(module);
}

/* Types that are made of themselves, or of each other. */
static void circles(void **state)
{
	struct btf_made m;
	struct btf_member member;
	struct btf *btf;
	char text[64];

	(void)state;
	made_init(&m);
	made_type(&m, "a", BTF_TYPEDEF, false, 0, 2);
	made_type(&m, "b", BTF_CONST, false, 0, 1);
	made_type(&m, "", BTF_ARRAY, false, 0, 0);
	made_word(&m, 3);
	made_word(&m, 3);
	made_word(&m, 1000);
	made_type(&m, "self", BTF_STRUCT, false, 1, 8);
	made_member(&m, "", 4, 0);
	made_type(&m, "", BTF_PTR, false, 0, 5);
	made_finish(&m);
	assert_int_equal(btf_new(m.bytes, m.len, NULL, &btf), 0);
	assert_int_equal(btf_resolve(btf, 1), BTF_VOID);
	assert_true(btf_size(btf, 3) == 0);
	assert_false(btf_member_find(btf, 4, "x", 1, &member));
	btf_describe(btf, 5, text, sizeof(text));
	assert_int_equal(btf_kind(btf, 77), BTF_UNKNOWN);
	btf_free(btf);
}

static void damaged(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[sizeof(f->made.bytes)];
	struct btf *btf;

	for (size_t len = 0; len < f->made.len; len++) {
		assert_int_equal(btf_new(f->made.bytes, len, NULL, &btf), -EINVAL);
	}
	memcpy(bytes, f->made.bytes, sizeof(bytes));
	made_u32(bytes + 12, 0xfffffff0);
	assert_int_equal(btf_new(bytes, f->made.len, NULL, &btf), -EINVAL);
	/* a type of no known kind ends the table: the ones before stay */
	memcpy(bytes, f->made.bytes, sizeof(bytes));
	made_u32(bytes + BTF_HEADER_BYTES + 16 + 4, 31u << 24);
	assert_int_equal(btf_new(bytes, f->made.len, NULL, &btf), 0);
	assert_int_equal(btf_count(btf), 2);
	btf_free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(split, set_up, tear_down),
		cmocka_unit_test(circles),
		cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
