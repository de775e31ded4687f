"""Sample texts: what activations look like and what quantising costs is measured on these, if nothing better is given.

Short and long, questions and statements, plain words, figures, code, and several languages. Odd ones are rounded by,
even ones are measured on, so that no model is judged by the texts it was fitted to.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FITTING", "MEASURING"]

_TEXTS: Final = (
    "How long does it take to boil an egg?",
    "What is the capital of Australia?",
    "The river had risen overnight, and by morning the lower fields were a single sheet of brown water from which the "
    "tops of the fence posts stuck out like the teeth of a comb.",
    "Restart the router, wait for two minutes and try again; if the light still blinks red, call the support line.",
    "cheap flights to lisbon in october",
    "red running shoes size 42",
    "In 1907 the company employed 312 people; by 1913 that number had grown to more than four thousand, most of them "
    "women who worked from six in the morning until half past five in the afternoon.",
    "The committee will meet on Tuesday, 14 March, at 10:30 in room B214. Please bring a copy of the draft budget.",
    "A binary search halves the range in every step, so that a sorted list of a million entries needs about twenty "
    "comparisons; a linear search needs half a million on average.",
    "def mean(values): return sum(values) / len(values)",
    "I bought this kettle in January and the lid broke after three weeks. The shop refused a refund. Never again.",
    "Lovely little restaurant, friendly staff, and the best mushroom soup I have ever had. We will be back!",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. It happens in the chloroplasts of "
    "plant cells, whose green pigment absorbs mostly red and blue light.",
    "The patient reports mild chest pain after exercise, which subsides within ten minutes of rest.",
    "who wrote the moonlight sonata",
    "is it safe to mix bleach and vinegar",
    "Shares fell by 3.4 percent on Thursday after the central bank raised interest rates for the fifth time in a row, "
    "and analysts expect further losses before the end of the quarter.",
    "The tenant shall pay the rent in advance on the first working day of each month, without any deduction.",
    "Der Zug nach Hamburg fährt heute wegen einer Störung erst um 17 Uhr von Gleis 8 ab.",
    "La bibliothèque sera fermée lundi prochain en raison des travaux de rénovation.",
    "El gato duerme sobre la alfombra mientras llueve en la calle.",
    "The cat sleeps on the carpet while it rains in the street.",
    "She closed the door behind her, counted to ten, and only then allowed herself to laugh. It had worked. All of it, "
    "the forged letter, the borrowed uniform, even the dog, had worked exactly as they had planned on that "
    "evening in the garden when nobody believed that it ever would.",
    "Preheat the oven to 200 degrees. Mix flour, butter and a pinch of salt, add cold water spoon by spoon, and let "
    "the dough rest for half an hour before you roll it out.",
    "SELECT name, COUNT(*) FROM orders WHERE year = 2021 GROUP BY name ORDER BY 2 DESC;",
    "TypeError: cannot read property 'length' of undefined",
    "Water boils at a lower temperature on a mountain, because the air presses less on its surface.",
    "Earthquakes release energy that has built up over centuries along the borders of tectonic plates. Their strength "
    "is given on a logarithmic scale: each whole step means about thirty times as much energy.",
    "good morning",
    "thanks!",
    "The museum owns about twelve hundred paintings, of which it can show a tenth at any time. The others are kept in "
    "a depot outside of the town, at 18 degrees and a humidity of fifty percent, and are lent to other houses.",
    "Our new model weighs 940 grams, runs for eleven hours on one charge and costs 20 euros less than its predecessor.",
    "The best way to learn a language is to speak it badly, every day, with people who are kind enough to listen.",
    "Two trains leave at noon from towns 300 kilometres apart and travel towards each other at 70 and 80 kilometres an "
    "hour. When do they meet?",
    "Bees find their way back to the hive by the position of the sun, and tell the others by dancing.",
    "The defendant was acquitted on all counts because the only witness had withdrawn her statement.",
    "how to remove red wine from a white tablecloth",
    "difference between affect and effect",
    "Vaccines train the immune system with a harmless part of a germ, so that it recognises the real one at once.",
    "The second movement is slow and quiet; the strings play alone until the oboe enters with a tune that everybody "
    "has heard before and nobody can name.",
    "Between 1850 and 1914 some forty million people left Europe. Most of them went to North America, many to "
    "Argentina and Brazil; about one in four returned within ten years, with savings or without.",
    "Add the following line to the settings file, and make sure that the port is not in use: listen = 0.0.0.0:8080",
    "No goals, two red cards and a floodlight that failed in the eightieth minute: it was not an evening to remember.",
    "With a header in stoppage time the visitors turned a match that they should have lost by three goals.",
    "A mortgage is a loan that is secured by a house: if the borrower stops paying, the bank may sell it.",
    "The stars we see are not where they seem to be, nor when: the light of the nearest has been under way for four "
    "years, that of others since before there were people to look at it.",
    "今日は天気がいいので、散歩に行きましょう。",
    "Сегодня в Москве ожидается снег, температура около минус пяти градусов.",
    "Climate and weather are not the same: weather is what you get, climate is what you expect.",
    "The function returns None if the key is missing, which is why the next line fails with an attribute error.",
    "Trees in a forest exchange sugar and warnings by a network of fungi that connects their roots. Old trees feed "
    "young ones in their shade; what looks like a struggle for light is also a kind of market.",
    "Please find attached the minutes of our last meeting. Corrections are welcome until Friday. Kind regards, Anna",
    "The old lighthouse was built of granite in 1838, automated in 1984, and sold for one pound to a retired teacher "
    "from Leeds, who lives there with two parrots.",
    "best laptop for students under 600",
    "Inflation means that money loses value: what costs 100 today costs 103 in a year at a rate of three percent.",
    "Iron rusts in damp air. Aluminium does too, but its oxide is a thin, hard layer that keeps the rest from harm.",
    "Can I cancel my subscription before the end of the free month?",
    "You can cancel at any time in your account settings; access ends on the last day of the month you have paid for.",
    "The experiment was repeated four times with different seeds. The mean error was 0.021 with a standard deviation "
    "of 0.003, so that the difference to the baseline is significant at the level of one percent.",
    "After the war the theatre was used as a cinema, then as a warehouse for carpets, and finally as a church, before "
    "the city bought it back and discovered the painted ceiling under four layers of white.",
    "Turn left at the chemist, cross the bridge and follow the canal for about a mile; the house has a blue gate.",
    "Astronauts lose bone and muscle in weightlessness, which is why they exercise for two hours each day.",
    "A haiku has seventeen syllables in three lines, and traditionally names a season.",
    "The price includes breakfast, towels and the use of the sauna, but neither the tourist tax nor the parking space.",
)
MEASURING: Final = _TEXTS[0::2]
FITTING: Final = _TEXTS[1::2]
