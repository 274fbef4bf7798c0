# SPDX-License-Identifier: GPL-2.0-or-later
"""``hg admin::doctor``: looks at a deployment and says what to change.

``command`` declares the command and knows where the checks of the extensions
are. ``findings`` has the types, ``running`` runs the checks. The other modules
hold checks that do not depend on an extension, and what checks share.
"""
