# SPDX-License-Identifier: Apache-2.0
# Makes a C string literal of each line of a migration.
s/["\\]/\\&/g
s/.*/"&\\n"/
