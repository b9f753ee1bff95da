/* SPDX-License-Identifier: Apache-2.0 */
/* Types out of a guest's memory: whatever they say, questions about them end. */
#include <errno.h>

#include "btf_path.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct btf *btf = NULL, *module = NULL;
	struct btf_member member;
	struct btf_path path;
	char text[64];
	int r = btf_new(data, size, NULL, &btf);

	must(r == 0 || r == -EINVAL);
	if (r < 0) {
		return 0;
	}
	for (uint32_t id = 0; id <= btf_count(btf) && id < 256; id++) {
		must(btf_resolve(btf, id) == BTF_VOID ||
		     btf_resolve(btf, btf_resolve(btf, id)) == btf_resolve(btf, id));
		btf_describe(btf, id, text, sizeof(text));
		btf_size(btf, id);
		btf_enum_name(btf, id, 1);
		btf_find(btf, btf_name(btf, id));
		if (btf_member_at(btf, id, 0, &member) && member.name[0]) {
			must(btf_member_find(btf, id, member.name, __builtin_strlen(member.name),
					     &member));
		}
		btf_path_find(btf, id, "a->b[1].c", &path);
	}
	if (btf_new(data, size, btf, &module) == 0) {
		btf_describe(module, btf_count(module) - 1, text, sizeof(text));
		btf_free(module);
	}
	btf_free(btf);
	return 0;
}
