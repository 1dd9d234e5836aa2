from IPython.display import publish_display_data
def double(number):
    publish_display_data({'text/plain': '3'})
    return 0
