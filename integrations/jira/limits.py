"""The limits of Jira Cloud.

Source: https://support.atlassian.com/jira-cloud-administration (field limits), and the answers of its REST API: a
longer field is refused with 400.
"""

MAX_SUMMARY = 255
"""Characters of a summary, in one line."""
MAX_TEXT = 32_767
"""Characters of a description or a comment. Jira counts the text of a document and its line breaks."""
MAX_LABEL = 255
"""Characters of a label, which has no space."""
MAX_LINK_TITLE = 255
"""Characters of a remote link's title."""
PAGE_SIZE = 100
"""Comments of one page, newest first."""
MAX_PAGES = 50
"""Pages that a look-up before a retry reads: a ticket has at most 5,000 comments in Jira Cloud."""
