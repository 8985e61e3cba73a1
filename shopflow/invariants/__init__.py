"""What must hold whatever died, came twice or came late: the checks that every test of faults and `make verify` share.

They are pure, and take one order, product or queue at a time: tables of any size can be checked in little memory.
"""
