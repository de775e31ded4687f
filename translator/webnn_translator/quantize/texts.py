"""Sample texts: what activations look like and what quantising costs is measured on these, if nothing better is given.

Short and long, questions and statements, plain words, figures, code, and several languages. What weights are rounded
by and what is measured on are different texts, so that no model is judged by those it was fitted to. For the same
reason none of them is among the built-in texts of `webnn_runtime.evaluation`, which judge the finished bundle.
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
_MORE: Final = (
    "The glacier has lost a third of its volume since the first survey, and the hut that once stood at its edge now "
    "looks down on a lake. Guides lead visitors along a path that did not exist ten years ago.",
    "To reset the device, hold the power button for ten seconds until the screen goes dark, then release it and wait. "
    "All settings will be lost; pictures and messages on the memory card are kept.",
    "A contract is void if one of the parties was forced to sign it, or was deceived about an essential fact. The "
    "burden of proof lies with the party that wants to be released.",
    "The orchestra opened the season with a symphony that had not been heard in the city for sixty years. The second "
    "half belonged to a young pianist from Seoul, who was called back to the stage five times.",
    "Enzymes are proteins that speed up chemical reactions in living cells. Each of them fits only certain molecules, "
    "much as a key fits a lock, and most stop working when they get too hot.",
    "Prices for wheat rose sharply after the harvest failed in three provinces, and the government banned exports "
    "until the spring. Bakers in the capital had warned of shortages since July.",
    "If the list is empty, the function raises an error; otherwise it returns the first element that satisfies the "
    "condition. The original order is kept, and nothing is copied.",
    "My daughter is afraid of the dark and will not sleep without a light. Our doctor says that it will pass, but we "
    "would like to help her now. What has worked for your children?",
    "The goalkeeper dived to the left, the ball went to the right, and eighty thousand people fell silent. It was the "
    "last kick of a final that had been decided by penalties for the third time in a row.",
    "Volcanic soil is rich in minerals, which is why people keep returning to the slopes of mountains that have "
    "buried their villages more than once.",
    "You will need two onions, four carrots, a piece of ginger, half a litre of stock and a tin of coconut milk. Cut "
    "the vegetables into small pieces, fry them gently, and let everything simmer for twenty minutes.",
    "The satellite circles the Earth every ninety minutes at a height of about five hundred kilometres and "
    "photographs each place twice a day. Farmers use the pictures to decide where to water, insurers to estimate "
    "damage.",
    "He was born in a fishing village, the sixth of nine children, left school at twelve, and went to sea. Forty "
    "years later he owned eleven ships and a newspaper, and could still not swim.",
    "Please note that the office is closed on public holidays. Applications that arrive after the deadline cannot be "
    "considered, whatever the reason for the delay.",
    "Neural networks learn by changing their weights a little after each example, in the direction that makes the "
    "error smaller. How far they go in each step is called the learning rate.",
    "The word comes from Latin, where it meant a tax on salt; by the Middle Ages it stood for any kind of payment, "
    "and today hardly anybody thinks of salt when they hear it.",
    "Patients with a history of heart disease should not take this medicine. Common side effects are headache, dry "
    "mouth and dizziness; consult your physician if they last for more than a few days.",
    "The old town is best explored on foot. Start at the market square, climb the tower for the view, and follow the "
    "narrow lane behind the cathedral down to the harbour, where the ferries leave for the islands.",
    "The company reported revenue of 4.2 billion dollars for the third quarter, eight percent more than a year ago, "
    "but its profit fell because of higher costs for energy and transport.",
    "Migrating birds find their way by the stars, by the magnetic field of the Earth and by landmarks. Young ones "
    "that have never made the journey set out in the right direction all the same.",
    "This jacket keeps me warm and dry, but the zip feels cheap and the sleeves are too long. For the price I had "
    "expected better. Three stars.",
    "A database index is a separate structure that maps values to the rows that hold them. It makes reading faster "
    "and writing slower, and it takes space, so not every column should have one.",
    "When the emperor died without an heir, his generals divided the provinces among themselves and were at war "
    "within a year. The trade routes moved south, and the capital became a town of shepherds.",
    "Light travels faster than anything else, about 300,000 kilometres in a second, and yet it takes eight minutes "
    "from the Sun to us and more than four years to the nearest other star.",
    "The teacher asked each pupil to bring an object that was older than their parents. There were coins, letters, a "
    "wooden spoon, a gas mask, and a tortoise.",
    "Two thirds of the voters supported the proposal, which limits the height of new buildings to twenty metres and "
    "reserves a fifth of all flats for families with low incomes.",
    "In chess, a player whose king is attacked must end the attack at once: by moving the king, by capturing the "
    "piece that attacks, or by putting another piece in between.",
    "I am writing to complain about the service on your flight from Madrid. We waited for four hours without any "
    "information, and our luggage arrived two days later in a different city.",
    "Cement is made by heating limestone and clay to about 1,450 degrees. The process sets free large amounts of "
    "carbon dioxide, partly from the fuel and partly from the limestone itself.",
    "A good translation does not follow the words but the thought; where a joke cannot be carried over, it has to be "
    "replaced by another one that makes readers laugh in the same place.",
    "The tide was out, and the boats lay on their sides in the mud like sleeping cattle. Somewhere behind the dunes a "
    "dog was barking, and the smell of frying fish came over from the quay.",
    "Install the package, create an account with your e-mail address, and copy the key into the field at the top of "
    "the page. The first thousand requests of each month are free of charge.",
)
# A text in other company is another text to a model: each is also put behind the one so many places before it. Four
# such rounds in place of one change the cosine of all-MiniLM-L6-v2 in int4 by less than 0.0005.
_APART: Final = 7


def _in_company(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Each text alone, and behind another one."""
    return (*texts, *(f"{texts[index - _APART]} {text}" for index, text in enumerate(texts)))


MEASURING: Final = _TEXTS[0::2]
FITTING: Final = _in_company((*_TEXTS[1::2], *_MORE))
